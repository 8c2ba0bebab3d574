import Basics
import Features
import TestKit
import Tensors
import XCTest

/// On every rank of the start: 1, 2, 3 and 4 in turn.
final class ScalingTests: XCTestCase {
  private let (count, width) = (37, 6)

  private func set(_ values: [Float]) throws -> FeatureSet {
    FeatureSet(
      dealing: Tensor(values, [count, width]), labels: [Int32](repeating: 0, count: count), to: try sharedCommunicator()
    )
  }

  /// Columns of another offset and scale each.
  private var values: [Float] {
    ExactRandom.floats(count * width, seed: 1).enumerated().map { place, value in
      100 * Float(place % width) + value * Float(1 + place % width)
    }
  }

  func testMeanAndDeviationAreThoseOfOneRankBitForBit() throws {
    let (values, communicator) = (values, try sharedCommunicator())
    let scaling = try Standardisation(try set(values), communicator)
    for d in 0..<width {
      let column = (0..<count).map { Double(values[$0 * width + d]) }
      let mean = column.reduce(0, +) / Double(count)
      let squares = column.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
      XCTAssertEqual(scaling.mean[d], mean)
      XCTAssertEqual(scaling.deviation[d], (squares / Double(count - 1)).squareRoot() + 1e-5)
    }
    let moved = try set(values).standardised(by: scaling)
    let again = try Standardisation(moved, communicator)
    for d in 0..<width {
      XCTAssertEqual(again.mean[d], 0, accuracy: 1e-6)
      XCTAssertEqual(again.deviation[d], 1, accuracy: 1e-4)
    }
  }

  func testNormalisedRowsHaveLengthOneAndZeroStaysZero() throws {
    var values = values
    values.replaceSubrange(0..<width, with: [Float](repeating: 0, count: width))
    let unit = try set(values).normalised()
    for row in 0..<unit.range.count {
      let squares = unit.rows.rows(row..<row + 1).array.reduce(0.0) { $0 + Double($1) * Double($1) }
      XCTAssertEqual(squares, unit.range.lowerBound + row == 0 ? 0 : 1, accuracy: 1e-6)
    }
    XCTAssertEqual(unit.indices, (0..<count).map { Int64($0) })
  }

  func testHealthIsThatOfNumPy() throws {
    let (golden, communicator) = (Golden.load("neighbours"), try sharedCommunicator())
    for name in ["set0", "set1", "set2"] {
      let shape = golden.shape("\(name).bank")
      for (key, offset) in [("health", Float(0)), ("health.offset", 300)] {
        let values = golden.floats("\(name).bank").map { $0 + offset }
        let labels = [Int32](repeating: 0, count: shape[0])
        let dealt = try FeatureHealth(
          FeatureSet(dealing: Tensor(values, [shape[0], shape[1]]), labels: labels, to: communicator), communicator)
        XCTAssertEqual(dealt.count, shape[0])
        expectClose(
          [Float(dealt.standardDeviation), Float(dealt.effectiveRank)], golden.floats("\(name).\(key)"),
          relative: 1e-6, "\(name).\(key)")
        guard offset == 0 else { continue }
        let whole = FeatureHealth(features: values, width: shape[1])
        expectClose(
          [Float(whole.standardDeviation), Float(whole.effectiveRank)], golden.floats("\(name).\(key)"),
          "\(name).\(key) in single precision")
      }
    }
  }

  func testHealthTellsCollapseFromSpread() {
    let width = 12
    let collapsed = FeatureHealth(
      features: (0..<50).flatMap { _ in [Float](repeating: 1, count: width) }, width: width)
    XCTAssertEqual(collapsed.standardDeviation, 0, accuracy: 1e-6)
    XCTAssertEqual(collapsed.effectiveRank, 1, accuracy: 1e-2)
    let axes = (0..<width * 20).flatMap { row in (0..<width).map { Float($0 == row % width ? 1 : 0) } }
    let spread = FeatureHealth(features: axes, width: width)
    XCTAssertEqual(spread.effectiveRank, Double(width), accuracy: 1e-3)
    XCTAssertGreaterThan(spread.standardDeviation, 0.2)
  }
}
