import Autodiff
import Basics
import TestKit
import Tensors
import XCTest

final class NormalizeOpTests: XCTestCase {
  override func tearDown() { ThreadTeam.configure(threads: 1) }

  private func layerNorm(_ row: [Double], _ w: [Float], _ b: [Float]) -> [Float] {
    let mean = row.reduce(0, +) / Double(row.count)
    let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(row.count)
    return row.indices.map {
      Float((row[$0] - mean) / (variance + 1e-6).squareRoot() * Double(w[$0]) + Double(b[$0]))
    }
  }

  func testResidualLayerNorm() {
    for threads in 1...2 {
      ThreadTeam.configure(threads: threads)
      for width in [4, 17, 33] { check(width) }
    }
  }

  private func check(_ width: Int) {
    let (x, branch) = (tensor([2, 3, width], seed: 1, scale: 2), tensor([2, 3, width], seed: 2))
    let p = ["branch bias", "weight", "bias"].enumerated().map { parameter($1, [width], seed: 3 + UInt64($0)) }
    for (hasBranch, hasBias) in [(true, true), (true, false), (false, false), (false, true)] {
      func op(_ inputs: [Variable]) -> (sum: Variable, normalized: Variable) {
        residualLayerNorm(
          inputs[0], branch: hasBranch ? inputs[1] : nil, branchBias: hasBias ? p[0] : nil, weight: p[1], bias: p[2])
      }
      let (xs, bs, bias) = (x.array, branch.array, p[0].value.array)
      let sums = (0..<6).map { i in
        (0..<width).map { j -> Double in
          var sum = Double(xs[i * width + j])
          if hasBranch { sum += Double(bs[i * width + j]) }
          return hasBias ? sum + Double(bias[j]) : sum
        }
      }
      let result = op([Variable(constant: x), Variable(constant: branch)])
      expectClose(result.sum.value.array, sums.flatMap { $0.map { Float($0) } })
      let expected = sums.flatMap { layerNorm($0, p[1].value.array, p[2].value.array) }
      expectClose(result.normalized.value.array, expected, relative: 1e-5, absolute: 5e-6)

      let inputs = hasBranch ? [x, branch] : [x]
      let parameters = hasBias ? p : Array(p[1...])
      let both = gradientCheck(inputs: inputs, parameters: parameters) {
        let (sum, normalized) = op($0)
        return add(scale(sum, by: 0.5), normalized)
      }
      XCTAssertLessThan(both.worstError, 2e-3, "\(both.worst), width \(width), \(hasBranch) \(hasBias)")
      let last = gradientCheck(inputs: inputs, parameters: parameters) { op($0).normalized }
      XCTAssertLessThan(last.worstError, 2e-3, "\(last.worst), width \(width), \(hasBranch) \(hasBias)")
      let onlySum = gradientCheck(inputs: inputs, parameters: hasBias ? [p[0]] : []) { op($0).sum }
      XCTAssertLessThan(onlySum.worstError, 2e-3, "\(onlySum.worst), width \(width), \(hasBranch) \(hasBias)")
    }
  }

  /// The parts apart give the bits of the fused pass, forward and backward.
  func testResidualSum() {
    for threads in 1...3 {
      ThreadTeam.configure(threads: threads)
      let (x, branch) = (tensor([3, 5, 17], seed: 1), tensor([3, 5, 17], seed: 2))
      let p = ["branch bias", "weight", "bias"].enumerated().map { parameter($1, [17], seed: 3 + UInt64($0)) }
      func run(_ op: (Variable, Variable) -> (sum: Variable, normalized: Variable)) -> [[Float]] {
        for parameter in p { parameter.gradient.fill(0) }
        let (a, da) = Variable.leaf(x)
        let (b, db) = Variable.leaf(branch)
        let (sum, normalized) = op(a, b)
        let y = add(scale(sum, by: 0.5), normalized)
        y.backward(gradient: tensor(y.shape, seed: 6))
        return [sum.value.array, normalized.value.array, da()?.array ?? [], db()?.array ?? []]
          + p.map(\.gradient.array)
      }
      let fused = run { residualLayerNorm($0, branch: $1, branchBias: p[0], weight: p[1], bias: p[2]) }
      let apart = run { residualLayerNorm(residualSum($0, branch: $1, branchBias: p[0]), weight: p[1], bias: p[2]) }
      XCTAssertEqual(apart, fused)
      let check = gradientCheck(inputs: [x, branch], parameters: [p[0]]) {
        residualSum($0[0], branch: $0[1], branchBias: p[0])
      }
      XCTAssertLessThan(check.worstError, 1e-4, check.worst)
    }
  }

  func testL2Normalize() {
    let x = tensor([4, 7], seed: 1)
    let y = l2Normalize(Variable(constant: x)).value.array
    for i in 0..<4 {
      XCTAssertEqual(y[i * 7..<i * 7 + 7].reduce(0.0) { $0 + Double($1) * Double($1) }, 1, accuracy: 1e-6)
    }
    let check = gradientCheck(inputs: [x]) { l2Normalize($0[0]) }
    XCTAssertLessThan(check.worstError, 1e-3)
  }

  func testCrossEntropyOfLabelsAndSoftTargets() {
    let logits = tensor([5, 6], seed: 2, scale: 3)
    let labels: [Int32] = [0, 5, 2, 2, 1]
    let soft = Tensor(ExactRandom.floats(30, seed: 3).map { abs($0) }, [5, 6])
    let oneHot = Tensor(labels.flatMap { label in (0..<6).map { $0 == Int(label) ? 1 : 0 } }, [5, 6])
    let constant = Variable(constant: logits)
    let byLabel = crossEntropy(logits: constant, targets: .labels(labels)).value.item
    XCTAssertEqual(byLabel, crossEntropy(logits: constant, targets: .soft(oneHot)).value.item, accuracy: 1e-5)
    for targets in [CrossEntropyTargets.labels(labels), .soft(soft)] {
      let check = gradientCheck(inputs: [logits]) { crossEntropy(logits: $0[0], targets: targets) }
      XCTAssertLessThan(check.worstError, 1e-3)
    }
  }

  func testMaskedPatchLoss() {
    let (prediction, target) = (tensor([2, 3, 5], seed: 4), tensor([2, 3, 5], seed: 5))
    let mask: [Float] = [1, 0, 1, 0, 0, 1]
    let (p, t) = (prediction.array, target.array)
    var sum = 0.0
    for i in 0..<30 where mask[i / 5] == 1 {
      let difference = Double(p[i]) - Double(t[i])
      sum += difference * difference / 5
    }
    let loss = maskedPatchLoss(Variable(constant: prediction), target: target, mask: mask)
    XCTAssertEqual(Double(loss.value.item), sum / 3, accuracy: 1e-6)
    let check = gradientCheck(inputs: [prediction]) { maskedPatchLoss($0[0], target: target, mask: mask) }
    XCTAssertLessThan(check.worstError, 1e-3)
  }
}
