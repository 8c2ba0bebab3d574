import Basics
import Pipeline
import TestKit
import XCTest

final class ImageReaderTests: XCTestCase {
  func testBatchesAreWhatAWholeBatchIs() throws {
    let source = try DataSource.open(smallFolder(11), labels: true)
    let indices = [3, 10, 0, 4, 4, 7, 1]
    let whole = try evaluationBatch(source, indices: indices, size: 16)
    for (batch, threads) in [(1, 0), (3, 0), (3, 2), (7, 1), (50, 4)] {
      let reader = ImageReader(source, ImagePreparation(size: 16), indices: indices, batch: batch, threads: threads)
      var next = 0
      while let part = reader.next() {
        XCTAssertEqual(part.range, next..<min(next + batch, 7))
        XCTAssertEqual(part.images.array, whole.rows(part.range).array, "batches of \(batch), \(threads) threads")
        XCTAssertTrue(part.bad.isEmpty)
        next = part.range.upperBound
      }
      XCTAssertEqual(next, 7)
    }
  }

  func testNoImagesAreNoBatches() throws {
    let source = try DataSource.open(smallFolder(2), labels: true)
    XCTAssertNil(ImageReader(source, ImagePreparation(size: 16), indices: [], batch: 4, threads: 1).next())
  }

  func testAReaderMayBeLeftEarly() throws {
    let source = try DataSource.open(smallFolder(9), labels: true)
    let reader = ImageReader(source, ImagePreparation(size: 16), indices: Array(0..<9), batch: 2, threads: 2)
    XCTAssertEqual(reader.next()?.range, 0..<2)
  }

  func testTheTeamHelpsWithoutChangingAnything() throws {
    ThreadTeam.configure(threads: 3)
    defer { ThreadTeam.configure(threads: 1) }
    let source = try DataSource.open(smallFolder(8), labels: true)
    let whole = try evaluationBatch(source, indices: Array(0..<8), size: 16)
    let reader = ImageReader(source, ImagePreparation(size: 16), indices: Array(0..<8), batch: 5, threads: 0)
    XCTAssertEqual(reader.next()?.images.array, whole.rows(0..<5).array)
    XCTAssertEqual(reader.next()?.images.array, whole.rows(5..<8).array)
  }
}
