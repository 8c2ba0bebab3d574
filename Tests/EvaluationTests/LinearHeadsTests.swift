import Basics
import TestKit
import Tensors
import XCTest

@testable import Evaluation

/// Heads against PyTorch, against the formula, and against each other. No communication.
final class LinearHeadsTests: XCTestCase {
  private func run(
    _ golden: Golden, _ name: String, eps: Double, _ change: (inout LinearHeads.Design) -> Void
  ) -> LinearHeads {
    var design = LinearHeads.Design(width: 6, classes: 5, normEpsilon: eps)
    change(&design)
    let rates = golden.floats("rates")
    let heads = LinearHeads(design, rates: [1])
    heads.weights.assign(Tensor(golden.floats("start"), [5, 6]))
    for step in 0..<3 {
      let x = Tensor(golden.floats("\(name)/\(step)/x"), [12, 6])
      let labels = golden.floats("\(name)/\(step)/labels").map { Int32($0) }
      _ = heads.learn(x, labels: labels, factor: Double(rates[step]))
    }
    return heads
  }

  func testThreeStepsAreThoseOfPyTorch() {
    let golden = Golden.load("linear")
    let cases: [(String, Double, (inout LinearHeads.Design) -> Void)] = [
      ("sgd", 1e-5, { _ in }), ("decay", 1e-5, { $0.weightDecay = 0.05 }),
      ("lars", 1e-6, { ($0.optimizer, $0.weightDecay) = (.lars, 0.05) }),
    ]
    for (name, eps, change) in cases {
      let heads = run(golden, name, eps: eps, change)
      expectClose(heads.weights.array, golden.floats("\(name)/weight"), absolute: 1e-5, "\(name) weights")
      expectClose(heads.biases.array, golden.floats("\(name)/bias"), absolute: 1e-5, "\(name) bias")
      expectClose(heads.norm?.mean.array ?? [], golden.floats("\(name)/mean"), absolute: 1e-5, "\(name) mean")
      expectClose(
        heads.norm?.variance.array ?? [], golden.floats("\(name)/variance"), absolute: 1e-5, "\(name) variance")
      let last = Tensor(golden.floats("\(name)/2/x"), [12, 6])
      expectClose(
        heads.logits(last, head: 0).array, golden.floats("\(name)/evaluated"), absolute: 1e-5, "\(name) logits")
    }
  }

  func testTheFirstStepIsTheGradient() {
    let clusters = LabelledClusters(16, width: 8, classes: 4, spread: 0.5, seed: 3)
    let heads = LinearHeads(.init(width: 8, classes: 4, normEpsilon: 1e-5), rates: [1])
    let before = heads.weights.array
    _ = heads.learn(clusters.rows, labels: clusters.labels, factor: 1)
    let x = normalised(clusters.rows.array.map(Double.init), width: 8)
    var gradient = [Double](repeating: 0, count: 32)
    for row in 0..<16 {
      let logits = (0..<4).map { c in (0..<8).reduce(0.0) { $0 + Double(before[c * 8 + $1]) * x[row * 8 + $1] } }
      let sum = logits.reduce(0) { $0 + exp($1) }
      for c in 0..<4 {
        let error = exp(logits[c]) / sum - (c == Int(clusters.labels[row]) ? 1 : 0)
        for d in 0..<8 { gradient[c * 8 + d] += error * x[row * 8 + d] / 16 }
      }
    }
    let step = zip(before, heads.weights.array).map { $0 - $1 }
    expectClose(step, gradient.map(Float.init), relative: 1e-5, absolute: 1e-7)
  }

  private func normalised(_ x: [Double], width: Int) -> [Double] {
    let rows = x.count / width
    var y = x
    for c in 0..<width {
      let column = (0..<rows).map { x[$0 * width + c] }
      let mean = column.reduce(0, +) / Double(rows)
      let variance = column.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(rows)
      for row in 0..<rows { y[row * width + c] = (x[row * width + c] - mean) / (variance + 1e-5).squareRoot() }
    }
    return y
  }

  func testHeadsLearnTogetherAsTheyDoAlone() {
    let clusters = LabelledClusters(64, width: 12, classes: 10, spread: 0.5, seed: 4)
    let rates = [0.5, 0.2, 0.1]
    let together = LinearHeads(.init(width: 12, classes: 10, normEpsilon: 1e-5), rates: rates)
    for factor in [0.2, 1, 0.5] { _ = together.learn(clusters.rows, labels: clusters.labels, factor: factor) }
    for (place, rate) in rates.enumerated() {
      let alone = LinearHeads(.init(width: 12, classes: 10, normEpsilon: 1e-5), rates: [rate])
      for factor in [0.2, 1, 0.5] { _ = alone.learn(clusters.rows, labels: clusters.labels, factor: factor) }
      XCTAssertEqual(together.weights(ofHead: place).array, alone.weights.array)
      XCTAssertEqual(together.bias(ofHead: place).array, alone.biases.array)
    }
    XCTAssertNotEqual(together.weights(ofHead: 0).array, together.weights(ofHead: 1).array)
  }

  func testTheNormFoldsIntoTheWeights() {
    let (width, classes) = (12, 10)
    let clusters = LabelledClusters(200, width: width, classes: classes, spread: 0.8, seed: 5)
    let heads = LinearHeads(.init(width: width, classes: classes, normEpsilon: 1e-5), rates: [0.5])
    for _ in 0..<20 { _ = heads.learn(clusters.rows, labels: clusters.labels, factor: 1) }
    guard let norm = heads.norm else { return XCTFail("no norm") }
    // W' = W / sqrt(v + eps), b' = b - W' m
    var folded = heads.weights.array.map(Double.init)
    var bias = heads.biases.array.map(Double.init)
    for c in 0..<classes {
      for d in 0..<width {
        folded[c * width + d] /= (Double(norm.variance.array[d]) + 1e-5).squareRoot()
        bias[c] -= folded[c * width + d] * Double(norm.mean.array[d])
      }
    }
    let x = clusters.rows.array
    let expected = (0..<200).map { row in
      (0..<classes).map { c in (0..<width).reduce(bias[c]) { $0 + folded[c * width + $1] * Double(x[row * width + $1]) }
      }
    }
    let logits = heads.logits(clusters.rows, head: 0).array
    expectClose(logits, expected.flatMap { $0 }.map(Float.init), relative: 1e-4, absolute: 1e-5)
    for row in 0..<200 {
      let own = Array(logits[row * classes..<(row + 1) * classes])
      XCTAssertEqual(
        own.indices.max { own[$0] < own[$1] }, expected[row].indices.max { expected[row][$0] < expected[row][$1] })
    }
  }

  func testWithoutNormAndBiasHeadsFindTheLogisticOptimum() {
    // The rows of the logistic golden: with weight decay lambda / n both minimise one function.
    let x = Tensor([1, 0, 0.9, 0.3, 0, 1, -0.2, 1, -1, -0.5, -0.7, -0.9], [6, 2])
    let heads = LinearHeads(
      .init(width: 2, classes: 3, normEpsilon: nil, hasBias: false, weightDecay: 0.1 / 6), rates: [1])
    var loss = 0.0
    for _ in 0..<2000 { loss = heads.learn(x, labels: [0, 0, 1, 1, 2, 2], factor: 1)[0] }
    let weights = heads.weights.array
    expectClose(weights, [2.28234, -0.47628, -0.75706, 1.99575, -1.52528, -1.51948], relative: 0, absolute: 2e-4)
    let penalty = 0.1 / 12 * weights.reduce(0.0) { $0 + Double($1) * Double($1) }
    XCTAssertEqual(loss / 6 + penalty, 0.21212901, accuracy: 1e-6)
    XCTAssertEqual(heads.biases.array, [0, 0, 0])
  }

  func testEqualScoresGoToTheLowerClassAndNoNumbersAreLast() {
    let scores = Tensor([1, 1, 0, 3, 2, 1, .nan, 0, 1], [3, 3])
    XCTAssertEqual(labelRanks(scores, [0, 0, 0]), [0, 0, 2])
    XCTAssertEqual(labelRanks(scores, [1, 1, 2]), [1, 1, 0])
    XCTAssertEqual(labelRanks(scores, [2, 2, 1]), [2, 2, 1])
  }
}
