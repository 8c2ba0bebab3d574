import Basics
import Images
import TestKit
import XCTest

@testable import Evaluation

final class PatchLabelsTests: XCTestCase {
  func testMostPixelsDecideAndTheLowerOfEqualLabels() {
    // Four patches of 2 x 2: 5 5 5 0, 3 3 1 1, ignored but one, all ignored.
    let mask = LabelMask(
      width: 4, height: 4,
      classes: [
        5, 5, 3, 1,
        5, 0, 1, 3,
        255, 255, 255, 255,
        255, 7, 255, 255,
      ])
    let found = PatchLabels(mask, grid: 2)
    XCTAssertEqual(found.labels, [5, 1, 7, PatchLabels.none])
    XCTAssertEqual(found.shares, [0.75, 0.5, 0.25, 0])
    XCTAssertEqual(PatchLabels(mask, grid: 4).labels.filter { $0 >= 0 }.count, 9)
    XCTAssertEqual(PatchLabels(mask, grid: 1).labels, [5])  // three of 5, two of 3 and of 1
    XCTAssertEqual(PatchLabels(mask, grid: 1).shares, [3.0 / 16])
  }

  func testEveryPixelVotesOnceInEveryPatch() {
    var random = RandomStream(seed: 2, purpose: .probe)
    let mask = LabelMask(width: 30, height: 30, classes: (0..<900).map { _ in UInt8(random.integer(below: 4)) })
    let found = PatchLabels(mask, grid: 5)
    for patch in 0..<25 {
      var votes = [Int](repeating: 0, count: 4)
      for y in 0..<6 { for x in 0..<6 { votes[Int(mask[patch % 5 * 6 + x, patch / 5 * 6 + y])] += 1 } }
      XCTAssertEqual(Int(found.labels[patch]), votes.firstIndex(of: votes.max() ?? 0))
      XCTAssertEqual(found.shares[patch], Double(votes.max() ?? 0) / 36)
    }
  }

  func testInstancesHangTogetherOverCornersAndEndAtOtherClasses() {
    let mask = LabelMask(
      width: 5, height: 3,
      classes: [
        1, 0, 1, 1, 0,
        0, 1, 255, 2, 0,
        0, 0, 0, 2, 1,
      ])
    let regions = ObjectRegions(mask, unit: .instance, background: 0)
    // 1 at the left touches the 1s at the top by corners; the last 1 touches only 2 and background.
    XCTAssertEqual(regions.numbers, [1, 0, 1, 1, 0, 0, 1, -1, 2, 0, 0, 0, 0, 2, 3])
    XCTAssertEqual(regions.objects.map(\.pixels), [4, 2, 1])
    XCTAssertEqual(regions.objects.map(\.category), [1, 2, 1])
    let categories = ObjectRegions(mask, unit: .category, background: 0)
    XCTAssertEqual(categories.objects.map(\.pixels), [5, 2])
    XCTAssertEqual(ObjectRegions(mask, unit: .category, background: nil).objects.map(\.pixels), [7, 5, 2])
  }
}
