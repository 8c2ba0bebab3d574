import Basics
import Features
import TestKit
import Tensors
import XCTest

@testable import Evaluation

/// The function that logistic regression minimises, and its minimum, against scikit-learn. Collective: the same on all
/// ranks.
final class LowShotObjectiveTests: XCTestCase {
  private func rows(
    _ values: [Float], width: Int, _ labels: [Int32], _ preparation: RowPreparation = .none
  ) throws -> LowShotRows {
    let communicator = try sharedCommunicator()
    let set = FeatureSet(dealing: Tensor(values, [labels.count, width]), labels: labels, to: communicator)
    return try LowShotRows(Array(labels.indices), of: set, preparation, communicator)
  }

  private func solution(
    _ rows: LowShotRows, classes: Int, lambda: Double, tolerance: Double = 1e-6
  ) throws -> (weights: [Double], outcome: LBFGS.Outcome) {
    try LowShotFit.solution(
      rows, classes: classes, lambda: lambda, LBFGS(tolerance: tolerance), sharedCommunicator())
  }

  // MARK: goldens

  func testTheGoldenOfTheSpecification() throws {
    let rows = try rows([1, 0, 0.9, 0.3, 0, 1, -0.2, 1, -1, -0.5, -0.7, -0.9], width: 2, [0, 0, 1, 1, 2, 2])
    let weak = try solution(rows, classes: 3, lambda: 0.1)
    XCTAssertEqual(weak.outcome.value, 0.21212901, accuracy: 1e-8)
    expectClose(
      weak.weights.map(Float.init), [2.28234, -0.47628, -0.75706, 1.99575, -1.52528, -1.51948], relative: 0,
      absolute: 1e-4)
    XCTAssertEqual(try solution(rows, classes: 3, lambda: 1).outcome.value, 0.63415113, accuracy: 1e-8)
  }

  func testMinimaAndClassesAreThoseOfScikitLearn() throws {
    let golden = Golden.load("lowshot")
    let scale = Float(golden.number("scale"))
    for number in 0..<Int(golden.number("cases")) {
      let name = "case\(number)"
      let width = golden.shape("\(name)/x")[1]
      let classes = Int(golden.number("\(name)/classes"))
      let preparation = try XCTUnwrap(RowPreparation(rawValue: golden.text("\(name)/preprocess")))
      let rows = try rows(
        golden.floats("\(name)/x").map { $0 / scale }, width: width, golden.ints("\(name)/y").map(Int32.init),
        preparation)
      let tests = Tensor(golden.floats("\(name)/test").map { $0 / scale }, Shape(golden.shape("\(name)/test")))
      for (place, lambda) in golden.floats("lambdas").enumerated() {
        let lambda = Double("\(lambda)") ?? 0
        let (weights, outcome) = try solution(rows, classes: classes, lambda: lambda)
        XCTAssertTrue(outcome.hasConverged, "\(name) lambda \(lambda): \(outcome)")
        XCTAssertLessThanOrEqual(outcome.gradient, 1e-6)
        XCTAssertEqual(outcome.value, golden.number("\(name)/\(place)/objective"), accuracy: 1e-6)
        let predicted = golden.ints("\(name)/\(place)/predicted").map(Int32.init)
        let right = LowShotFit.ranks(weights, preparation.preparedTensor(tests), labels: predicted[...])
        XCTAssertEqual(right.count { $0 != 0 }, 0, "\(name) lambda \(lambda): other classes than scikit-learn's")
      }
    }
  }

  // MARK: properties

  private let clusters = LabelledClusters(90, width: 12, classes: 5, spread: 1.5, seed: 1)

  func testClassWeightsSumToZeroAndShrinkWithLambda() throws {
    let rows = try rows(clusters.rows.array, width: 12, clusters.labels)
    var norms: [Double] = []
    for lambda in [1e-3, 1e-2, 1e-1, 1, 10] {
      let weights = try solution(rows, classes: 5, lambda: lambda, tolerance: 1e-9).weights
      for d in 0..<12 { XCTAssertEqual((0..<5).reduce(0.0) { $0 + weights[$1 * 12 + d] }, 0, accuracy: 1e-9) }
      norms.append(weights.reduce(0) { $0 + $1 * $1 })
    }
    XCTAssertEqual(norms, norms.sorted(by: >))
  }

  func testEverySampleTwiceAndTwiceLambdaIsTheSameProblem() throws {
    let once = try solution(
      rows(clusters.rows.array, width: 12, clusters.labels), classes: 5, lambda: 0.5, tolerance: 1e-9)
    let twice = try solution(
      rows(clusters.rows.array + clusters.rows.array, width: 12, clusters.labels + clusters.labels), classes: 5,
      lambda: 1, tolerance: 1e-9)
    expectClose(twice.weights.map(Float.init), once.weights.map(Float.init), relative: 0, absolute: 1e-6)
    XCTAssertEqual(twice.outcome.value, once.outcome.value, accuracy: 1e-12)
  }

  func testItIsConvexAndTheGradientIsItsSlope() throws {
    let objective = try LowShotObjective(
      rows(clusters.rows.array, width: 12, clusters.labels, .centred), classes: 5, lambda: 0.1, sharedCommunicator())
    var gradient = [Double](repeating: 0, count: 60)
    func value(_ w: [Double]) throws -> Double { try objective.evaluate(w, gradient: &gradient) }
    for seed in 1...5 {
      let a = ExactRandom.floats(60, seed: UInt64(seed)).map { 8 * Double($0) }
      let b = ExactRandom.floats(60, seed: UInt64(50 + seed)).map { 8 * Double($0) }
      let middle = zip(a, b).map { 0.5 * ($0 + $1) }
      XCTAssertLessThan(try value(middle), 0.5 * (try value(a) + value(b)))
      let direction = zip(b, a).map { $0 - $1 }
      _ = try value(middle)
      let slope = zip(gradient, direction).reduce(0) { $0 + $1.0 * $1.1 }
      let (up, down) = (zip(middle, direction).map { $0 + 1e-5 * $1 }, zip(middle, direction).map { $0 - 1e-5 * $1 })
      XCTAssertEqual((try value(up) - value(down)) / 2e-5, slope, accuracy: 1e-6 * abs(slope) + 1e-8)
    }
  }

  func testTheBitsAreThoseOfOneRankAndOneThread() throws {
    let communicator = try sharedCommunicator()
    let clusters = LabelledClusters(333, width: 24, classes: 6, spread: 1.5, seed: 2)
    let dealt = try rows(clusters.rows.array, width: 24, clusters.labels, .unit)
    // The tiles of all ranks on this one.
    var tiles: [LowShotRows.Tile] = []
    let tileRows = 32
    for (number, start) in stride(from: 0, to: 333, by: tileRows).enumerated() {
      let range = start..<min(start + tileRows, 333)
      tiles.append(
        .init(
          number: number, rows: RowPreparation.unit.prepared(clusters.rows.rows(range)),
          labels: Array(clusters.labels[range])))
    }
    XCTAssertEqual(tiles.count, dealt.tileCount)
    let whole = LowShotRows(tiles: tiles, tileCount: tiles.count, count: 333, width: 24, largest: dealt.largest)
    let weights = ExactRandom.floats(144, seed: 3).map { 5 * Double($0) }
    func sums(_ rows: LowShotRows) -> DoubleMatrix {
      LowShotObjective(rows, classes: 6, lambda: 0.1, communicator).ownSums(weights)
    }
    let (alone, together) = (sums(whole), sums(dealt))
    try communicator.allReduceSum(together.pointer, together.count)
    ThreadTeam.configure(threads: 3)
    defer { ThreadTeam.configure(threads: 1) }
    let threads = sums(whole)
    for i in 0..<alone.count {
      XCTAssertEqual(alone.pointer[i], together.pointer[i])
      XCTAssertEqual(alone.pointer[i], threads.pointer[i])
    }
  }

  func testTheUnitIsFarBelowTheGradient() throws {
    // The rounded sum against a plain one.
    let objective = try LowShotObjective(
      rows(clusters.rows.array, width: 12, clusters.labels), classes: 5, lambda: 0, sharedCommunicator())
    let weights = ExactRandom.floats(60, seed: 3).map { 3 * Double($0) }
    var gradient = [Double](repeating: 0, count: 60)
    _ = try objective.evaluate(weights, gradient: &gradient)
    var plain = gradient.map { _ in 0.0 }
    let x = clusters.rows.array.map(Double.init)
    for row in 0..<90 {
      let logits = (0..<5).map { c in exp((0..<12).reduce(0.0) { $0 + weights[c * 12 + $1] * x[row * 12 + $1] }) }
      let total = logits.reduce(0, +)
      for c in 0..<5 {
        let error = logits[c] / total - (c == Int(clusters.labels[row]) ? 1 : 0)
        for d in 0..<12 { plain[c * 12 + d] += error * x[row * 12 + d] / 90 }
      }
    }
    for i in plain.indices { XCTAssertEqual(gradient[i], plain[i], accuracy: 1e-14) }
  }

  func testRowsAreCentredAndScaled() {
    let rows = Tensor([3, 4, 1, 1, 1, 1, 2, 0], [4, 2])
    func prepared(_ how: RowPreparation) -> [Double] {
      let matrix = how.prepared(rows)
      return (0..<matrix.count).map { matrix.pointer[$0] }
    }
    XCTAssertEqual(prepared(.none), [3, 4, 1, 1, 1, 1, 2, 0])
    let half = 0.5.squareRoot()
    let cases: [(RowPreparation, [Double])] = [
      (.unit, [0.6, 0.8, half, half, half, half, 1, 0]), (.centred, [-half, half, 0, 0, 0, 0, half, -half]),
    ]
    for (how, expected) in cases {
      for (value, expected) in zip(prepared(how), expected) { XCTAssertEqual(value, expected, accuracy: 1e-15) }
    }
  }
}
