import Autodiff
import Basics
import TestKit
import Tensors
import XCTest

final class RecomputedTests: XCTestCase {
  override func tearDown() { ThreadTeam.configure(threads: 1) }

  private let weights = (0..<3).map { parameter("w\($0)", [6, 6], seed: UInt64($0)) }
  private let norm = (0..<2).map { parameter("n\($0)", [6], seed: 7 + UInt64($0)) }
  private let x = tensor([5, 6], seed: 5)

  /// Two results, of which the second depends on the first.
  private func body(_ x: [Variable]) -> [Variable] {
    let first = residualLayerNorm(x[0], branch: linear(x[0], weights[0]), weight: norm[0], bias: norm[1])
    return [first.sum, add(linear(first.normalized, weights[1]), x[1])]
  }

  private var used: [Parameter] { [weights[0], weights[1], norm[0], norm[1]] }

  private func gradients(_ op: ([Variable]) -> [Variable], _ join: ([Variable]) -> Variable) -> [[Float]] {
    for parameter in weights + norm { parameter.gradient.fill(0) }
    let (a, da) = Variable.leaf(x)
    let (b, db) = Variable.leaf(tensor([5, 6], seed: 6))
    let y = join(op([a, b]))
    y.backward(gradient: tensor(y.shape, seed: 8))
    return [y.value.array, da()?.array ?? [], db()?.array ?? []] + (weights + norm).map(\.gradient.array)
  }

  func testGradientsAreTheSameBits() {
    for threads in 1...3 {
      ThreadTeam.configure(threads: threads)
      let joins: [([Variable]) -> Variable] = [{ add($0[0], $0[1]) }, { $0[0] }, { $0[1] }]
      for join in joins {
        let plain = gradients(body, join)
        XCTAssertEqual(gradients({ recomputed(from: $0, using: used, body) }, join), plain)
        let nested = gradients(
          { recomputed(from: $0, using: self.used) { recomputed(from: $0, using: self.used, self.body) } }, join)
        XCTAssertEqual(nested, plain)
      }
    }
    let check = gradientCheck(inputs: [x, tensor([5, 6], seed: 6)], parameters: used) { inputs in
      let y = recomputed(from: inputs, using: used, body)
      return add(scale(y[0], by: 0.5), y[1])
    }
    XCTAssertLessThan(check.worstError, 2e-3, check.worst)
  }

  func testInputsWithoutGradientStayConstants() {
    let (leaf, gradient) = Variable.leaf(x)
    let y = recomputed(from: [leaf, Variable(constant: x)], using: used, body)
    mean(y[1]).backward()
    XCTAssertNotNil(gradient())
    for parameter in used { parameter.isFrozen = true }
    defer { for parameter in used { parameter.isFrozen = false } }
    let constants = [Variable(constant: x), Variable(constant: x)]
    XCTAssertFalse(recomputed(from: constants, using: used, body)[1].needsGradient)
  }

  /// A parameter inside and outside is final when both have been passed; the tape need not be on during backward.
  func testParametersAreReportedOnce() {
    var ready: [String] = []
    for parameter in weights + norm { parameter.gradientReady = { ready.append($0.name) } }
    defer { for parameter in weights + norm { parameter.gradientReady = nil } }
    let start = linear(Variable(constant: x), weights[1])
    let inner = recomputed(from: [start, start], using: used, body)
    let y = mean(linear(inner[1], weights[2]))
    withoutGradient { y.backward() }
    XCTAssertEqual(ready, ["w2", "w0", "n0", "n1", "w1"])
    XCTAssertGreaterThan(weights[1].gradient.array.map(abs).max() ?? 0, 0)
  }

  func testOnlyTheInputsAreKept() {
    let kept = tensor([64, 64], seed: 1)
    let wide = parameter("wide", [64, 64], seed: 2)
    func live(_ op: ([Variable]) -> [Variable]) -> Int {
      let before = StoragePool.bytesInUse
      let result = mean(op([Variable.leaf(kept).0])[0])
      return withExtendedLifetime(result) { StoragePool.bytesInUse - before }
    }
    let three: ([Variable]) -> [Variable] = { [linear(linear(linear($0[0], wide), wide), wide)] }
    let one = Tensor(uninitialized: [64, 64])
    let bytes = one.count * MemoryLayout<Float>.stride
    let plain = live(three)
    let again = live { recomputed(from: $0, using: [wide], three) }
    XCTAssertEqual(plain - again, 2 * bytes, "the two values between the layers")
  }

  func testADifferentSecondRunIsSeen() {
    // the deliberate fault: a body that does not repeat itself
    var runs: Float = 0
    let faulty: ([Variable]) -> [Variable] = { inputs in
      runs += 1
      return [scale(linear(inputs[0], self.weights[0]), by: runs)]
    }
    let plain = gradients({ [linear($0[0], self.weights[0])] }, { $0[0] })
    XCTAssertNotEqual(gradients({ recomputed(from: $0, using: [self.weights[0]], faulty) }, { $0[0] }), plain)
  }
}
