import Basics
import Features
import TestKit
import Tensors
import XCTest

@testable import Evaluation

/// What low-shot classifiers learn from. Collective: the same on all ranks.
final class SubsetTests: XCTestCase {
  private func splits(_ counts: [Int], names: [String] = []) throws -> LabelledSplits {
    let labels = counts.enumerated().flatMap { label, count in [Int32](repeating: Int32(label), count: count) }
    let communicator = try sharedCommunicator()
    let set = FeatureSet(
      dealing: Tensor(zeros: [labels.count, 2]), labels: labels, classNames: names, to: communicator)
    return try LabelledSplits(EvaluationContext([.train: set, .val: set], communicator: communicator))
  }

  func testWordsAreReadAsSubsets() {
    XCTAssertEqual(Subset(parsing: "5"), .perClass(5))
    XCTAssertEqual(Subset(parsing: "0.5%"), .percent(0.5))
    XCTAssertEqual(Subset(parsing: "a/1imgs_class.txt"), .list(path: "a/1imgs_class.txt"))
    for word in ["0", "-1", "five", "0%", "101%", "%"] { XCTAssertNil(Subset(parsing: word), word) }
  }

  func testDrawsHoldTheSameOfEveryClassAndGrow() throws {
    let splits = try splits([20, 30, 7])
    let (one, five) = (
      try Subset.perClass(1).chosen(from: splits, seed: 0), try Subset.perClass(5).chosen(from: splits, seed: 0)
    )
    for label in 0..<3 {
      XCTAssertEqual(five.count { Int(splits.train.labels[$0]) == label }, 5)
      XCTAssertEqual(one.count { Int(splits.train.labels[$0]) == label }, 1)
    }
    XCTAssertEqual(five, Set(five).sorted())
    XCTAssertTrue(Set(one).isSubset(of: five))
    XCTAssertNotEqual(five, try Subset.perClass(5).chosen(from: splits, seed: 1))
  }

  func testPercentagesAreRoundedPerClassAndAtLeastOne() throws {
    let splits = try splits([150, 249, 10])
    let chosen = try Subset.percent(1).chosen(from: splits, seed: 0)
    XCTAssertEqual((0..<3).map { label in chosen.count { Int(splits.train.labels[$0]) == label } }, [2, 2, 1])
  }

  func testAClassWithTooFewImagesIsNamed() throws {
    let splits = try splits([20, 4], names: ["cat", "dog"])
    expectFailure(.badData, "class 'dog' has 4 images", "5 are asked for") {
      _ = try Subset.perClass(5).chosen(from: splits, seed: 0)
    }
  }

  // MARK: lists

  private let names = ["cat/cat_1.JPEG", "cat/cat_2.JPEG", "cat/cat_3.JPEG", "dog/dog_1.JPEG", "dog/dog_2.JPEG"]

  private func draws(_ lists: [(name: String, text: String)]) throws -> [SubsetDraws] {
    let folder = temporaryDirectory("lists")
    let paths = try lists.map { list in
      let path = "\(folder)/\(list.name)"
      try list.text.write(toFile: path, atomically: true, encoding: .utf8)
      return path
    }
    return try SubsetDraws.all(
      paths.map { .list(path: $0) }, from: splits([3, 2], names: ["cat", "dog"]), perClassDraws: 3, seed: 0,
      names: { () throws(Failure) in names })
  }

  func testListsAreNamedByWhatTheyHold() throws {
    // As in MSN's third set, where `3imgs_class.txt` holds another number.
    let draws = try draws([
      ("3imgs_class.txt", "cat_1.JPEG\ndog_2.JPEG\n"), ("b.txt", "dog_1.JPEG\ncat_3.JPEG"),
      ("imagenet_10.txt", "cat_1.JPEG\ncat_3.JPEG\n\ndog_1.JPEG\r\n"),
    ])
    XCTAssertEqual(draws.map(\.name), ["shot1", "imagenet_10"])
    XCTAssertEqual(draws.map(\.draws), [[[0, 4], [2, 3]], [[0, 2, 3]]])
  }

  func testLinesThatFitNothingAreNamed() throws {
    expectFailure(.badData, "'bird_1.JPEG' names no class", "a.txt:2") {
      _ = try draws([("a.txt", "cat_1.JPEG\nbird_1.JPEG\n")])
    }
    expectFailure(.badData, "no image 'cat_9.JPEG' in the class 'cat'", "a.txt:1") {
      _ = try draws([("a.txt", "cat_9.JPEG\ndog_1.JPEG\n")])
    }
    expectFailure(.badData, "twice", "a.txt:3") { _ = try draws([("a.txt", "cat_1.JPEG\ndog_1.JPEG\ncat_1.JPEG\n")]) }
    expectFailure(.badData, "leaves out a class") { _ = try draws([("a.txt", "cat_1.JPEG\n")]) }
    expectFailure(.inputMissing, "cannot be read") {
      _ = try SubsetDraws.all(
        [.list(path: "/nowhere/a.txt")], from: splits([3, 2], names: ["cat", "dog"]), perClassDraws: 1, seed: 0,
        names: { () throws(Failure) in names })
    }
  }

  func testTheSameSubsetTwiceIsRefused() throws {
    expectFailure(.badConfig, "'shot2' is asked for twice") {
      _ = try SubsetDraws.all(
        [.perClass(2), .perClass(2)], from: splits([3, 3]), perClassDraws: 1, seed: 0,
        names: { () throws(Failure) in [] })
    }
  }
}
