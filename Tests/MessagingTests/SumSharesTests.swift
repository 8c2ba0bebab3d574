import TestKit
import XCTest

@testable import Messaging

/// Who adds which floats where sums are read in the memory of the rank that added them. Local.
final class SumSharesTests: XCTestCase {
  private let page = SumShares.pageFloats

  /// Every float of any range is added by one lane, and the floats of a page all by the same.
  func testEveryFloatHasOneLaneAndEveryPageToo() {
    let cuts = [
      [0..<1], [0..<5000], [3000..<9001, 0..<3000], [0..<10, 10..<20, 20..<1024, 1024..<1025, 1025..<40_000],
      [0..<0, 0..<4096, 4096..<4096, 4096..<8192], [0..<700_000],
    ]
    for parts in cuts {
      let count = parts.map(\.upperBound).max() ?? 0
      for (lanes, inTurns) in (1...5).flatMap({ [($0, false), ($0, true)] }) {
        let shares = SumShares(parts: parts, lanes: lanes, inTurns: inTurns)
        XCTAssertEqual(shares.runs.map(\.elements.lowerBound), [0] + shares.runs.map(\.elements.upperBound).dropLast())
        XCTAssertEqual(shares.runs.last?.elements.upperBound, (count + page - 1) / page * page)
        for run in shares.runs { XCTAssertEqual(run.elements.lowerBound % page, 0) }
        for (left, right) in zip(shares.runs, shares.runs.dropFirst()) { XCTAssertNotEqual(left.lane, right.lane) }
        for range in parts + [0..<count, count / 3..<count / 2] {
          var lane = [Int?](repeating: nil, count: count)
          for number in 0..<lanes {
            for piece in shares.elements(of: number, in: range) {
              XCTAssertFalse(piece.isEmpty)
              for place in piece {
                XCTAssertNil(lane[place])
                lane[place] = number
              }
            }
          }
          XCTAssertEqual(lane.indices.filter { lane[$0] != nil }, Array(range))
          for place in range.dropFirst() where place % page != 0 { XCTAssertEqual(lane[place], lane[place - 1]) }
        }
      }
    }
  }

  /// A part is dealt evenly, but for the page in which it begins, which may belong to the part before.
  func testPartsAreDealtEvenly() {
    let parts = [0..<100_000, 100_000..<1_350_000, 1_350_000..<1_350_500]
    for (lanes, inTurns) in (1...7).flatMap({ [($0, false), ($0, true)] }) {
      let shares = SumShares(parts: parts, lanes: lanes, inTurns: inTurns)
      for part in parts {
        let counts = (0..<lanes).map { shares.elements(of: $0, in: part).reduce(0) { $0 + $1.count } }
        XCTAssertEqual(counts.reduce(0, +), part.count)
        XCTAssertLessThan((counts.max() ?? 0) - (counts.min() ?? 0), 3 * page, "\(part) by \(lanes)")
      }
    }
  }

  /// In turns a lane has several runs of a large part, else one.
  func testTurns() {
    let turn = SumShares.turnPages * page
    let parts = [0..<5 * turn]
    XCTAssertEqual(
      SumShares(parts: parts, lanes: 2, inTurns: true).runs.map(\.lane), [0, 1, 0, 1, 0, 1])
    XCTAssertEqual(
      SumShares(parts: parts, lanes: 2, inTurns: true).elements(of: 1, in: parts[0]),
      [turn..<2 * turn, 3 * turn..<4 * turn, 9 * turn / 2..<5 * turn])
    XCTAssertEqual(SumShares(parts: parts, lanes: 2, inTurns: false).runs.map(\.lane), [0, 1])
  }

  func testNothing() {
    XCTAssertEqual(SumShares(parts: [], lanes: 3, inTurns: true).runs, [])
    XCTAssertEqual(SumShares(parts: [0..<0], lanes: 3, inTurns: true).runs, [])
    XCTAssertEqual(SumShares(parts: [0..<10], lanes: 3, inTurns: true).elements(of: 1, in: 0..<10), [])
    XCTAssertEqual(SumShares(parts: [0..<10], lanes: 3, inTurns: true).elements(of: 0, in: 5..<5), [])
  }
}
