import Basics
import Foundation
import Pipeline
import TestKit
import XCTest

final class LoaderTests: XCTestCase {
  private func shapes(_ count: Int = 23) throws -> DataSource {
    try DataSource.open("synth:tinyshapes?n=\(count)&size=24&seed=4", labels: true)
  }

  func testRanksTogetherSeeTheSameGlobalBatches() throws {
    let source = try shapes()
    let whole = try take(7, makeLoader(source, views: 2))
    for ranks in 2...4 {
      let parts = try (0..<ranks).map { try take(7, makeLoader(source, views: 2, rank: $0, ranks: ranks)) }
      for step in 0..<7 {
        XCTAssertEqual(BatchContent(joining: parts.map { $0[step] }), whole[step], "\(ranks) ranks, step \(step)")
      }
    }
  }

  func testThreadsAndPrefetchDoNotChangeBatches() throws {
    let source = try shapes()
    let reference = try take(5, makeLoader(source, threads: 0))
    for (threads, prefetch) in [(1, 1), (1, 3), (3, 1), (4, 5)] {
      XCTAssertEqual(try take(5, makeLoader(source, threads: threads, prefetch: prefetch)), reference)
    }
  }

  func testBeginningAtAnyStepContinuesTheRun() throws {
    let source = try shapes()
    let whole = try take(9, makeLoader(source))
    for step in [1, 3, 4, 8] {
      XCTAssertEqual(try take(9 - step, makeLoader(source, firstStep: step)), Array(whole[step...]), "from \(step)")
    }
    let far = try makeLoader(source, firstStep: 3_000_000_001)
    XCTAssertEqual(try far.next().epoch, 3_000_000_001 / 3)
  }

  func testAnEpochHasEachImageAtMostOnceAndDropsTheRest() throws {
    let source = try shapes(23)
    let loader = try makeLoader(source)
    XCTAssertEqual(loader.stepsPerEpoch, 3)
    let epochs = try (0..<3).map { _ in try take(3, loader) }
    for (number, epoch) in epochs.enumerated() {
      XCTAssertEqual(Set(epoch.map(\.epoch)), [number])
      let seen = epoch.flatMap(\.indices)
      XCTAssertEqual(seen.count, 18)
      XCTAssertEqual(Set(seen).count, 18)
      XCTAssertTrue(seen.allSatisfy { (0..<23).contains($0) })
    }
    XCTAssertNotEqual(epochs[0].flatMap(\.indices), epochs[1].flatMap(\.indices))
  }

  func testViewsOfAnImageDifferByViewAndEpoch() throws {
    let source = try shapes(6)
    let first = try take(2, makeLoader(source, views: 2))
    XCTAssertNotEqual(first[0].views[0], first[0].views[1])
    let count = 3 * 16 * 16
    for (row, index) in first[0].indices.enumerated() {
      let later = try XCTUnwrap(first[1].indices.firstIndex(of: index))
      XCTAssertNotEqual(
        Array(first[0].views[0][(row * count)..<((row + 1) * count)]),
        Array(first[1].views[0][(later * count)..<((later + 1) * count)]))
    }
  }

  func testLabelsBelongToTheImages() throws {
    let source = try shapes()
    for batch in try take(3, makeLoader(source)) {
      XCTAssertEqual(batch.labels, batch.indices.map { source.label($0) })
      XCTAssertEqual(batch.indices, batch.sampled)
    }
  }

  func testBatchesThatDoNotFitAreRefused() throws {
    let source = try shapes(5)
    XCTAssertThrowsError(try makeLoader(source, batch: 6)) { error in
      XCTAssertEqual((error as? Failure)?.code, .badConfig)
      XCTAssertTrue("\(error)".contains("larger than the dataset of 5"), "\(error)")
    }
    XCTAssertThrowsError(try makeLoader(source, batch: 2, ranks: 3)) { error in
      XCTAssertEqual((error as? Failure)?.code, .badConfig)
    }
    XCTAssertThrowsError(try makeLoader(source, batch: 0)) { error in
      XCTAssertEqual((error as? Failure)?.code, .badConfig)
    }
  }

  /// A folder of 12 files of which five are bad, each in its own way.
  private func damagedFolder() throws -> String {
    let root = try smallFolder(12)
    let good = smallJPEG(99)
    try write(Array(good.dropLast(good.count / 2)), "\(root)/even/1002.jpg")
    try write([], "\(root)/even/1004.jpg")
    try write(Array("no picture\n".utf8), "\(root)/odd/1005.jpg")
    try FileManager.default.removeItem(atPath: "\(root)/odd/1007.jpg")
    try FileManager.default.createSymbolicLink(atPath: "\(root)/odd/1007.jpg", withDestinationPath: "nowhere")
    try FileManager.default.removeItem(atPath: "\(root)/odd/1009.jpg")
    try FileManager.default.createSymbolicLink(atPath: "\(root)/odd/1009.jpg", withDestinationPath: "/dev/null")
    return root
  }

  func testBadImagesAreReplacedTheSameWayEverywhereAndNamedOnce() throws {
    let source = try DataSource.open(damagedFolder(), labels: true)
    XCTAssertEqual(source.count, 12)
    let loader = try makeLoader(source)
    let whole = try take(4, loader)
    let bad = loader.takeBadImages()
    XCTAssertEqual(
      Set(bad.map(\.name)), ["even/1002.jpg", "even/1004.jpg", "odd/1005.jpg", "odd/1007.jpg", "odd/1009.jpg"])
    XCTAssertEqual(bad.count, 5)
    XCTAssertTrue(bad.allSatisfy { source.name($0.index) == $0.name && !$0.reason.isEmpty })
    XCTAssertEqual(loader.takeBadImages(), [])
    let badIndices = Set(bad.map(\.index))
    for batch in whole {
      XCTAssertTrue(badIndices.isDisjoint(with: batch.indices))
      for (used, sampled) in zip(batch.indices, batch.sampled) where !badIndices.contains(sampled) {
        XCTAssertEqual(used, sampled)
      }
      XCTAssertEqual(batch.labels, batch.indices.map { source.label($0) })
    }
    for ranks in 2...3 {
      let parts = try (0..<ranks).map { try take(4, makeLoader(source, rank: $0, ranks: ranks, threads: 3)) }
      for step in 0..<4 { XCTAssertEqual(BatchContent(joining: parts.map { $0[step] }), whole[step]) }
    }
    let again = try makeLoader(source, threads: 4, prefetch: 3)
    _ = try take(4, again)
    XCTAssertEqual(again.takeBadImages(), bad)
  }

  func testWhenEveryImageIsBadTheRunEnds() throws {
    let root = temporaryDirectory("bad")
    for i in 0..<4 { try write([1, 2, 3], "\(root)/\(i).jpg") }
    let source = try DataSource.open(root, labels: false)
    for threads in [0, 2] {
      let loader = try makeLoader(source, batch: 2, threads: threads)
      for _ in 0..<2 {
        XCTAssertThrowsError(try loader.next()) { error in
          XCTAssertEqual((error as? Failure)?.code, .badData)
          XCTAssertTrue("\(error)".contains("4 of 4 were tried"), "\(error)")
        }
      }
      XCTAssertEqual(loader.takeBadImages(), [])
    }
  }

  func testALoaderStopsWithBatchesInTheMaking() throws {
    for _ in 0..<5 {
      let loader = try makeLoader(shapes(), threads: 3, prefetch: 4)
      _ = try loader.next()
      XCTAssertGreaterThanOrEqual(loader.waitSeconds, 0)
      loader.stop()
    }
  }

  func testEvaluationBatchIsTheNormalisedPicture() throws {
    let source = try DataSource.open("synth:tinyshapes?n=20&size=32", labels: true)
    let images = try evaluationBatch(source, indices: [3, 7], size: 32)
    XCTAssertEqual(images.shape, [2, 3, 32, 32])
    let smaller = try evaluationBatch(source, indices: [7], size: 16, mean: [0, 0, 0], std: [1, 1, 1])
    XCTAssertEqual(smaller.shape, [1, 3, 16, 16])
    XCTAssertTrue(smaller.array.allSatisfy { (0...1).contains($0) })
    XCTAssertEqual(
      try evaluationBatch(source, indices: [7], size: 32).array, Array(images.array[(3 * 32 * 32)...]))
  }

  func testEvaluationNamesBadImages() throws {
    let root = try smallFolder(4)
    try write([0], "\(root)/even/1002.jpg")
    let source = try DataSource.open(root, labels: true)
    XCTAssertThrowsError(try evaluationBatch(source, indices: [0, 1, 2, 3], size: 16)) { error in
      XCTAssertTrue("\(error)".contains("even/1002.jpg"), "\(error)")
    }
    var bad: [BadImage] = []
    let images = try evaluationBatch(source, indices: [0, 1, 2, 3], size: 16) { bad.append($0) }
    XCTAssertEqual(bad.map(\.name), ["even/1002.jpg"])
    let count = 3 * 16 * 16
    XCTAssertTrue(images.array[count..<(2 * count)].allSatisfy { $0 == 0 })
    XCTAssertFalse(images.array[..<count].allSatisfy { $0 == 0 })
  }
}
