import Autodiff
import Basics
import TestKit
import Tensors
import XCTest

final class BackwardTests: XCTestCase {
  override func tearDown() { ThreadTeam.configure(threads: 1) }

  func testGradientReadyComesInOrderAndOnce() {
    let names = ["a", "b", "c"]
    let weights = names.enumerated().map { parameter($1, [4, 4], seed: UInt64($0)) }
    var ready: [String] = []
    for weight in weights { weight.gradientReady = { ready.append($0.name) } }
    var x = Variable(constant: tensor([3, 4], seed: 9))
    for weight in [weights[0], weights[1], weights[2], weights[1]] { x = linear(x, weight) }
    mean(x).backward()
    // b is used twice, so it is final only when its earlier use has been passed
    XCTAssertEqual(ready, ["c", "b", "a"])
  }

  func testFrozenAndUnusedParametersStayUntouched() {
    let (frozen, unused) = (parameter("frozen", [4, 4], seed: 1), parameter("unused", [4, 4], seed: 2))
    frozen.isFrozen = true
    for p in [frozen, unused] { p.gradientReady = { XCTFail("\($0.name) reported") } }
    let (x, gradient) = Variable.leaf(tensor([3, 4], seed: 3))
    mean(linear(x, frozen)).backward()
    XCTAssertNotNil(gradient())
    XCTAssertEqual(frozen.gradient.array, [Float](repeating: 0, count: 16))
    XCTAssertEqual(unused.gradient.array, [Float](repeating: 0, count: 16))
  }

  func testFrozenInputsGiveConstants() {
    let frozen = parameter("frozen", [4, 4], seed: 1)
    frozen.isFrozen = true
    XCTAssertFalse(linear(Variable(constant: tensor([3, 4], seed: 2)), frozen).needsGradient)
    let trained = parameter("trained", [4, 4], seed: 1)
    XCTAssertFalse(withoutGradient { linear(Variable(constant: tensor([3, 4], seed: 2)), trained) }.needsGradient)
    XCTAssertTrue(linear(Variable(constant: tensor([3, 4], seed: 2)), trained).needsGradient)
  }

  func testGradientsAccumulateOverPasses() {
    let weight = parameter("w", [5, 4], seed: 1)
    let x = Variable(constant: tensor([3, 4], seed: 2))
    mean(linear(x, weight)).backward()
    let once = weight.gradient.array
    mean(linear(x, weight)).backward()
    expectClose(weight.gradient.array, once.map { 2 * $0 })
    mean(linear(x, weight)).backward(seed: -2)
    expectClose(weight.gradient.array, once.map { _ in 0 }, absolute: 1e-7)
  }

  func testSharedGradientsAreNotChanged() {
    // add hands one gradient to both inputs; b then gets two more contributions
    let (a, da) = Variable.leaf(tensor([6], seed: 1))
    let (b, db) = Variable.leaf(tensor([6], seed: 2))
    let y = add(add(add(a, b), b), b)
    y.backward(gradient: Tensor(repeating: 1, [6]))
    XCTAssertEqual(da()?.array, [Float](repeating: 1, count: 6))
    XCTAssertEqual(db()?.array, [Float](repeating: 3, count: 6))
  }

  func testDiamonds() {
    let check = gradientCheck(inputs: [tensor([2, 4], seed: 3)]) {
      let left = scale($0[0], by: 2)
      let right = scale(add($0[0], left), by: 0.5)
      return add(add(left, right), $0[0])
    }
    XCTAssertLessThan(check.worstError, 1e-5)
  }

  func testDetachedStopsBackward() {
    let (x, gradient) = Variable.leaf(tensor([4], seed: 1))
    let y = add(x, scale(x, by: 5).detached)
    y.backward(gradient: Tensor(repeating: 1, [4]))
    XCTAssertEqual(gradient()?.array, [1, 1, 1, 1])
  }

  func testSecondStepTakesNoMemory() {
    let weights = (0..<3).map { parameter("w\($0)", [64, 64], seed: UInt64($0)) }
    let norms = (0..<2).map { parameter("n\($0)", [64], seed: 7 + UInt64($0)) }
    let x = tensor([8, 10, 64], seed: 5)
    func step() {
      var h = Variable(constant: x)
      for weight in weights {
        h = residualLayerNorm(h, branch: linear(h, weight), weight: norms[0], bias: norms[1]).normalized
      }
      mean(h).backward()
    }
    step()
    step()
    let taken = StoragePool.systemAllocations
    for _ in 0..<3 { step() }
    XCTAssertEqual(StoragePool.systemAllocations, taken)
  }

  func testACheckCanFail() {
    // the deliberate fault: a pullback that forgets the factor 2
    let check = gradientCheck(inputs: [tensor([5], seed: 1)]) { inputs in
      let y = Tensor(inputs[0].value.array.map { $0 * $0 }, inputs[0].shape)
      let x = inputs[0].value
      return record(y, from: [inputs[0]], as: .other) { dy in
        [Tensor(zip(dy.array, x.array).map { $0 * $1 }, x.shape)]
      }
    }
    XCTAssertEqual(check.worstError, 0.5, accuracy: 0.01)
    XCTAssertEqual(check.worst, "input 0")
  }
}
