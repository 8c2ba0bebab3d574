import Images
import TestKit
import XCTest

@testable import Evaluation

final class MassMaskTests: XCTestCase {
  func testTheKeptPatchesHoldTheMassAndNoneCanBeSpared() {
    for seed in 0..<20 {
      let attention = ExactRandom.floats(49, seed: UInt64(seed)).map { abs($0) }
      let total = attention.reduce(0.0) { $0 + Double($1) }
      for mass in [0.1, 0.6, 0.95] {
        let kept = MassMask(attention, mass: mass).kept
        let held = attention.indices.filter { kept[$0] }.map { Double(attention[$0]) }
        let sum = held.reduce(0, +)
        XCTAssertGreaterThanOrEqual(sum, mass * total * (1 - 1e-12))
        XCTAssertLessThan(sum - (held.min() ?? 0), mass * total)
        let lost = attention.indices.filter { !kept[$0] }.map { Double(attention[$0]) }
        XCTAssertLessThanOrEqual(lost.max() ?? 0, held.min() ?? 0, "the largest are kept")
      }
    }
  }

  func testEverythingAndOneOfEqualPatches() {
    XCTAssertEqual(MassMask([1, 2, 3], mass: 1).kept, [true, true, true])
    XCTAssertEqual(MassMask([1, 1, 1, 1], mass: 0.5).kept, [false, false, true, true])
    XCTAssertEqual(MassMask([0, 5, 0, 0], mass: 0.6).kept, [false, true, false, false])
  }

  func testPatchesBecomePixels() {
    let mask = MassMask([0, 1, 0, 0], mass: 0.6)
    let pixels = mask.pixels(grid: 2, patch: 2)
    XCTAssertEqual(pixels.indices.filter { pixels[$0] }, [2, 3, 6, 7])
  }

  func testOverlapLeavesIgnoredPixelsOut() {
    let mask = LabelMask(width: 2, height: 2, classes: [0, 3, 255, 3])
    XCTAssertEqual(mask.foreground, [false, true, false, true])
    XCTAssertEqual(mask.overlap([true, true, true, false], mask.foreground), 1.0 / 3)
    XCTAssertEqual(mask.overlap([false, true, true, true], mask.foreground), 1)
    XCTAssertNil(mask.overlap([false, false, true, false], [false, false, true, false]))
  }
}
