import TestKit
import XCTest

@testable import Basics

final class RandomTests: XCTestCase {
  /// Known answers of the authors' distribution (kat_vectors, philox4x32, 10 rounds).
  func testPhiloxKnownAnswers() {
    XCTAssert(philox((0, 0, 0, 0), (0, 0)) == (0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
    let ones = UInt32.max
    XCTAssert(philox((ones, ones, ones, ones), (ones, ones)) == (0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
    XCTAssert(
      philox((0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344), (0xa409_3822, 0x299f_31d0))
        == (0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
  }

  func testStreamsDependOnEveryPartOfTheKey() {
    func first(_ seed: UInt64, _ purpose: Purpose, _ epoch: Int, _ index: Int, _ view: Int) -> UInt64 {
      var stream = RandomStream(seed: seed, purpose: purpose, epoch: epoch, index: index, view: view)
      return stream.next()
    }
    let draws = [
      first(0, .crop, 0, 0, 0), first(1, .crop, 0, 0, 0), first(0, .flip, 0, 0, 0), first(0, .crop, 1, 0, 0),
      first(0, .crop, 0, 1, 0), first(0, .crop, 0, 0, 1), first(0, .crop, 0, 1 << 32, 0),
    ]
    XCTAssertEqual(Set(draws).count, draws.count)
    XCTAssertEqual(first(7, .mask, 3, 11, 1), first(7, .mask, 3, 11, 1))
  }

  func testUniformAndNormalHaveTheirMoments() {
    var stream = RandomStream(seed: 3, purpose: .probe)
    let count = 200_000
    let uniform = (0..<count).map { _ in stream.uniform() }
    let normal = (0..<count).map { _ in stream.normal() }
    let mean = { (x: [Double]) in x.reduce(0, +) / Double(x.count) }
    XCTAssertEqual(mean(uniform), 0.5, accuracy: 0.004)
    XCTAssertEqual(mean(uniform.map { $0 * $0 }), 1.0 / 3, accuracy: 0.004)
    XCTAssertEqual(mean(normal), 0, accuracy: 0.01)
    XCTAssertEqual(mean(normal.map { $0 * $0 }), 1, accuracy: 0.02)
    XCTAssertEqual(mean(normal.map { $0 * $0 * $0 * $0 }), 3, accuracy: 0.15)
  }

  func testIntegersAreUniformAndInRange() {
    var stream = RandomStream(seed: 4, purpose: .probe)
    var counts = [Int](repeating: 0, count: 7)
    for _ in 0..<70_000 { counts[stream.integer(below: 7)] += 1 }
    for count in counts { XCTAssertEqual(Double(count), 10_000, accuracy: 500) }
  }

  func testPermutationHoldsEveryIndexOnce() {
    for n in [0, 1, 2, 197] {
      var stream = RandomStream(seed: 5, purpose: .permutation, index: n)
      XCTAssertEqual(stream.permutation(n).sorted(), (0..<n).map { Int32($0) })
    }
  }

  func testStableHashIsFNV1a() {
    XCTAssertEqual(stableHash(""), 0xcbf2_9ce4_8422_2325)
    XCTAssertEqual(stableHash("a"), 0xaf63_dc4c_8601_ec8c)
  }
}
