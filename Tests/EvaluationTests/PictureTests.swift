import Basics
import Features
import Images
import Messaging
import Settings
import Tensors
import TestKit
import XCTest

@testable import Evaluation

final class PictureTests: XCTestCase {
  private func section(_ overrides: String...) throws -> Section {
    try SettingsTree.load(overrides: overrides, environment: [:]).section("")
  }

  /// Images of 8 x 8 pixels, with an object of class 1 in the left upper quarter and one of class 2 in the last patch.
  private func shown(_ count: Int, withMasks: Bool = true) -> ShownImages {
    let classes = (0..<64).map { pixel -> UInt8 in
      let (x, y) = (pixel % 8, pixel / 8)
      return x < 4 && y < 4 ? 2 : x >= 6 && y >= 6 ? 3 : 0
    }
    return ShownImages(
      Tensor(zeros: [count, 3, 8, 8]), indices: (0..<count).map { 10 + $0 },
      labels: [Int32](repeating: 1, count: count), classNames: ["a", "b"],
      masks: withMasks ? (0..<count).map { _ in LabelMask(width: 8, height: 8, classes: classes) } : nil,
      mean: [0.5, 0.5, 0.5], std: [1, 1, 1])
  }

  func testTheBestHeadIsTheOneThatLooksAtTheObjectsWhateverTheClassTokensGet() throws {
    // Two class tokens, three heads, 4 x 4 patches; head 2 of the first and head 3 of the second see the objects.
    let object: Set<Int> = [0, 1, 4, 5, 15]
    var values: [Float] = []
    for token in 0..<2 {
      for head in 0..<3 {
        values += [0.3, 0.2]
        values += (0..<16).map { object.contains($0) == (head == 1 + token) ? 0.1 : 0 }
      }
    }
    let drawing = AttentionPicture(mass: 0.9).drawn(shown(1), attention: Tensor(values, [1, 2, 3, 18]))
    let rows = drawing.numbers["rows"]?.arrayValue ?? []
    XCTAssertEqual(rows.map { $0["token"]?.stringValue }, ["CLS", "CLS+"])
    XCTAssertEqual(rows.map { $0["best_head"]?.intValue }, [2, 3])
    XCTAssertEqual(rows.map { $0["best_head_iou"]?.doubleValue }, [1, 1])
    XCTAssertEqual(drawing.numbers["best_head_iou"]?.arrayValue?.compactMap(\.doubleValue), [1, 1])
    // Outside the objects the other heads cover nothing of them.
    XCTAssertEqual(rows[0]["head_iou"]?.arrayValue?.map(\.doubleValue), [0, 1, 0])
  }

  func testAttentionWithoutMasksHasNoOverlaps() {
    let attention = Tensor(repeating: 1.0 / 17, [2, 1, 1, 17])
    let drawing = AttentionPicture(mass: 0.6).drawn(shown(2, withMasks: false), attention: attention)
    XCTAssertEqual(drawing.summary, [])
    XCTAssertEqual(drawing.numbers["rows"]?.arrayValue?.count, 2)
    XCTAssertEqual(drawing.numbers["rows"]?.arrayValue?[0]["best_head"], .null)
    XCTAssertEqual(
      drawing.numbers["rows"]?.arrayValue?[0]["class_token_share"]?.doubleValue ?? 0, 1.0 / 17, accuracy: 1e-6)
  }

  func testTheCentreOfTheLargestObjectIsAskedForAndScaleDoesNotMatter() throws {
    let patches = Tensor(ExactRandom.floats(16 * 5, seed: 4), [1, 16, 5])
    let picture = try SimilarityPicture(try section())
    let numbers = try picture.drawn(shown(1), patches: patches).numbers["images"]?.arrayValue?[0]
    XCTAssertEqual(numbers?["patch"], .array([.int(0), .int(0)]), "every patch of the object touches another one")
    let scaled = Tensor(patches.array.map { 4 * $0 }, patches.shape)
    XCTAssertEqual(try picture.drawn(shown(1), patches: scaled).numbers["images"]?.arrayValue?[0], numbers)
    // Cosines by hand.
    let rows = (0..<16).map { row in patches.array[5 * row..<5 * row + 5].map(Double.init) }
    func product(_ a: Int, _ b: Int) -> Double { zip(rows[a], rows[b]).reduce(0) { $0 + $1.0 * $1.1 } }
    for (patch, cosine) in (numbers?["cosine"]?.arrayValue ?? []).enumerated() {
      let expected = product(0, patch) / (product(0, 0) * product(patch, patch)).squareRoot()
      XCTAssertEqual(cosine.doubleValue ?? .nan, expected, accuracy: 1e-12)
    }
    XCTAssertEqual(numbers?["cosine"]?.arrayValue?.count, 16)
  }

  func testTheMaskOfAPromptCoversItsObjectAndNothingElse() throws {
    // Patches of one direction an object: class 2 in four patches, class 3 in one, ground elsewhere.
    let kinds = (0..<16).map { [0, 1, 4, 5].contains($0) ? 0 : $0 == 15 ? 1 : 2 }
    let patches = Tensor(kinds.flatMap { kind in (0..<3).map { $0 == kind ? Float(2) : 0 } }, [1, 16, 3])
    let own = try SimilarityPicture(try section("thresholds=[-0.5, 0.5]"))
    let numbers = try own.drawn(shown(1), patches: patches).numbers["images"]?.arrayValue?[0]["iou"]?.arrayValue
    XCTAssertEqual(numbers?[0].doubleValue, 0.25, "below every cosine the whole image is chosen")
    XCTAssertGreaterThan(numbers?[1].doubleValue ?? 0, 0.7)
    let ground = try SimilarityPicture(try section("patch=\"3,0\""))
    XCTAssertEqual(
      try ground.drawn(shown(1), patches: patches).numbers["images"]?.arrayValue?[0]["iou"],
      .array([.null, .null, .null]), "a prompt on the ground has no object")
  }

  func testWrongPatchesAreNamed() throws {
    for text in ["patch=\"4\"", "patch=\"a,b\"", "patch=\"-1,2\""] {
      XCTAssertThrowsError(try SimilarityPicture(try section(text)), text) { error in
        XCTAssertEqual((error as? Failure)?.code, .badConfig)
      }
    }
    let beyond = try SimilarityPicture(try section("patch=\"0,4\""))
    XCTAssertThrowsError(try beyond.drawn(shown(1), patches: Tensor(zeros: [1, 16, 2]))) { error in
      XCTAssertEqual((error as? Failure)?.what, "there is no patch 0,4")
    }
  }

  func testClustersOfPatchesAreNumberedBySize() {
    XCTAssertEqual(PatchClusterPicture.bySize([2, 2, 0, 1, 1, 2], count: 3), [0, 0, 2, 1, 1, 0])
    XCTAssertEqual(PatchClusterPicture.bySize([1, 0, 0, 1], count: 2), [0, 1, 1, 0], "of equal ones the first")
  }

  func testPatchesOfEqualDirectionShareACluster() throws {
    let kinds = (0..<16).map { $0 < 9 ? 0 : $0 < 13 ? 1 : 2 }
    let noise = ExactRandom.floats(48, seed: 2)
    let values = kinds.enumerated().flatMap { patch, kind in
      (0..<3).map { ($0 == kind ? Float(5) : 0) + 0.1 * noise[3 * patch + $0] }
    }
    let picture = try PatchClusterPicture(try section())
    let drawing = try picture.drawn(shown(1), patches: Tensor(values, [1, 16, 3]), seed: 0)
    XCTAssertEqual(
      drawing.numbers["images"]?.arrayValue?[0]["clusters"]?.arrayValue?.compactMap(\.intValue), kinds)
    let many = try PatchClusterPicture(try section("k=17"))
    XCTAssertThrowsError(try many.drawn(shown(1), patches: Tensor(values, [1, 16, 3]), seed: 0))
  }

  func testNeighboursAreThoseOfAPlainSearchOnAnyNumberOfRanks() throws {
    let world = try sharedCommunicator()
    let values = ExactRandom.floats(23 * 6, seed: 8)
    let labels = (0..<23).map { Int32($0 % 4) }
    let set = FeatureSet(dealing: Tensor(values, [23, 6]), labels: labels, to: world)
    let queries = [0, 7, 11, 22]
    let lists = try NeighbourSheet(neighbours: 5).lists(of: queries, in: set, communicator: world)
    func cosine(_ a: Int, _ b: Int) -> Double {
      func product(_ a: Int, _ b: Int) -> Double {
        (0..<6).reduce(0) { $0 + Double(values[a * 6 + $1]) * Double(values[b * 6 + $1]) }
      }
      return product(a, b) / (product(a, a) * product(b, b)).squareRoot()
    }
    for (query, list) in zip(queries, lists) {
      let expected = (0..<23).filter { $0 != query }.sorted { cosine(query, $0) > cosine(query, $1) }.prefix(5)
      XCTAssertEqual(list.map(\.index), Array(expected))
      XCTAssertEqual(list.map(\.label), expected.map { labels[$0] })
      for entry in list { XCTAssertEqual(Double(entry.similarity), cosine(query, entry.index), accuracy: 1e-5) }
    }
    XCTAssertThrowsError(try NeighbourSheet(neighbours: 23).lists(of: [0], in: set, communicator: world))
  }

  func testATableOfConfusionKeepsTheClassCountsAndTheAgreement() {
    let labels: [Int32] = [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
    let clusters: [Int32] = [1, 1, 0, 0, 0, 0, 2, 2, 2, 1]
    let table = Contingency(labels: labels, clusters: clusters, classes: 3, clusterCount: 3)
    let picture = ConfusionPicture(
      confusion: Confusion(table, clustersOfClasses: table.clustersOfClasses), classNames: ["a", "b", "c"])
    XCTAssertEqual(picture.accuracy, 0.8)
    XCTAssertEqual(picture.confusion.counts.map { $0.reduce(0, +) }, [3, 3, 4])
    let drawn = picture.drawn()
    XCTAssertTrue((0..<drawn.height).allSatisfy { drawn.bytes[3 * (($0 + 1) * drawn.width - 1)] == 255 })
  }

  func testPercentAndDigits() {
    XCTAssertEqual([0, 0.6, 0.125, 1].map(percent), ["0 %", "60 %", "12.5 %", "100 %"])
    XCTAssertEqual([0.5, -0.049, -0.001, 1].map(twoDigits), ["0.50", "-0.05", "0.00", "1.00"])
  }
}
