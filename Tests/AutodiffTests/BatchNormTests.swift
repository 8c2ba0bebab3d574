import Autodiff
import Basics
import TestKit
import Tensors
import XCTest

final class BatchNormTests: XCTestCase {
  override func tearDown() { ThreadTeam.configure(threads: 1) }

  private func affine(_ width: Int) -> (weight: Parameter, bias: Parameter) {
    let weight = parameter("weight", [width], seed: 3)
    for c in 0..<width { weight.value.pointer[c] += 1.5 }
    return (weight, parameter("bias", [width], seed: 4, scale: 0.7))
  }

  /// Mean and biased variance of each column, in double.
  private func moments(_ x: Tensor) -> [(mean: Double, variance: Double)] {
    let (values, rows, width) = (x.array, x.shape[0], x.shape[1])
    return (0..<width).map { c in
      let column = (0..<rows).map { Double(values[$0 * width + c]) }
      let mean = column.reduce(0, +) / Double(rows)
      return (mean, column.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(rows))
    }
  }

  /// One view, in double.
  private func naive(_ x: [Double], weight: [Double], bias: [Double], rectified: Bool) -> [Double] {
    let width = weight.count
    let rows = x.count / width
    let columns = (0..<width).map { c in
      let column = (0..<rows).map { x[$0 * width + c] }
      let mean = column.reduce(0, +) / Double(rows)
      return (mean, column.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(rows))
    }
    return x.indices.map { i in
      let (mean, variance) = columns[i % width]
      let y = (x[i] - mean) / (variance + 1e-5).squareRoot() * weight[i % width] + bias[i % width]
      return rectified ? max(y, 0) : y
    }
  }

  private func naive(_ x: Tensor, _ weight: Parameter, _ bias: Parameter, rectified: Bool) -> [Float] {
    naive(
      x.array.map(Double.init), weight: weight.value.array.map(Double.init), bias: bias.value.array.map(Double.init),
      rectified: rectified
    ).map { Float($0) }
  }

  func testEachViewHasItsOwnStatistics() {
    for threads in 1...2 {
      ThreadTeam.configure(threads: threads)
      for width in [1, 5, 33, 300] {
        let views = [tensor([7, width], seed: 1, scale: 2), tensor([4, width], seed: 2)]
        for i in 0..<views[1].count { views[1].pointer[i] += 10 }
        let (weight, bias) = affine(width)
        for rectified in [false, true] {
          let (outputs, statistics) = batchNorm(
            views.map { Variable(constant: $0) }, weight: weight, bias: bias, rectified: rectified, over: .local)
          XCTAssertEqual(statistics.map(\.count), [7, 4])
          for (view, (output, found)) in zip(views, zip(outputs, statistics)) {
            expectClose(
              output.value.array, naive(view, weight, bias, rectified: rectified), relative: 1e-5, absolute: 1e-5)
            expectClose(found.mean.array, moments(view).map { Float($0.mean) }, relative: 1e-6)
            expectClose(found.variance.array, moments(view).map { Float($0.variance) }, relative: 1e-6)
          }
        }
      }
    }
  }

  func testInvariant11MeanIsTheBiasAndDeviationTheWeight() {
    let (weight, bias) = affine(40)
    let views = [tensor([50, 40], seed: 1, scale: 3), tensor([50, 40], seed: 2)]
    let outputs = batchNorm(views.map { Variable(constant: $0) }, weight: weight, bias: bias, over: .local).outputs
    for output in outputs {
      let found = moments(output.value)
      expectClose(found.map { Float($0.mean) }, bias.value.array, relative: 1e-5, absolute: 1e-6)
      expectClose(found.map { Float($0.variance.squareRoot()) }, weight.value.array, relative: 1e-4)
    }
  }

  func testGradients() {
    for width in [1, 3, 17] {
      let (weight, bias) = affine(width)
      let inputs = [tensor([6, width], seed: 5), tensor([6, width], seed: 6, scale: 2)]
      let check = gradientCheck(inputs: inputs, parameters: [weight, bias]) { views in
        let y = batchNorm(views, weight: weight, bias: bias, over: .local).outputs
        return add(y[0], scale(y[1], by: 0.5))
      }
      XCTAssertLessThan(check.worstError, 2e-3, "\(check.worst), width \(width)")
    }
  }

  /// Central differences of the naive form in double, whose steps are too small to meet a kink of ReLU.
  func testRectifiedGradients() throws {
    for width in [1, 3, 17] {
      let (weight, bias) = affine(width)
      let inputs = [tensor([6, width], seed: 5), tensor([4, width], seed: 6, scale: 2)]
      let seeds = [tensor([6, width], seed: 8), tensor([4, width], seed: 9)]
      let leaves = inputs.map { Variable.leaf($0) }
      let outputs = batchNorm(leaves.map(\.0), weight: weight, bias: bias, rectified: true, over: .local).outputs
      XCTAssertTrue(outputs.allSatisfy { $0.value.array.contains(0) }, "some values do not pass")
      concatenateRows(outputs).backward(
        gradient: Tensor(seeds.flatMap(\.array), [10, width]))
      let found = try leaves.map { try XCTUnwrap($0.gradient()).array } + [weight.gradient.array, bias.gradient.array]
      var arguments = (inputs + [weight.value, bias.value]).map { $0.array.map(Double.init) }
      func objective() -> Double {
        (0..<2).reduce(0.0) { sum, view in
          let y = naive(arguments[view], weight: arguments[2], bias: arguments[3], rectified: true)
          return sum + zip(y, seeds[view].array).reduce(0) { $0 + $1.0 * Double($1.1) }
        }
      }
      for (index, gradient) in found.enumerated() {
        let slopes = arguments[index].indices.map { i in
          let kept = arguments[index][i]
          arguments[index][i] = kept + 1e-6
          let above = objective()
          arguments[index][i] = kept - 1e-6
          let below = objective()
          arguments[index][i] = kept
          return Float((above - below) / 2e-6)
        }
        XCTAssertLessThan(relativeError(gradient, slopes), 1e-5, "argument \(index), width \(width)")
      }
    }
  }

  /// A view whose output nobody uses, and one that wants no gradient, change nothing for the others.
  func testAnUnusedViewGetsNoGradientOfItsOwn() throws {
    let (weight, bias) = affine(5)
    let inputs = [tensor([6, 5], seed: 5), tensor([3, 5], seed: 6)]
    func run(_ count: Int) throws -> [[Float]] {
      for parameter in [weight, bias] { parameter.gradient.fill(0) }
      let leaves = inputs[..<count].map { Variable.leaf($0) }
      let y = batchNorm(leaves.map(\.0), weight: weight, bias: bias, rectified: true, over: .local).outputs
      y[0].backward(gradient: tensor([6, 5], seed: 7))
      if count > 1 {
        XCTAssertEqual(leaves[1].gradient()?.array, [Float](repeating: 0, count: 15))
      }
      return [try XCTUnwrap(leaves[0].gradient()).array, weight.gradient.array, bias.gradient.array]
    }
    XCTAssertEqual(try run(1), try run(2))
  }

  func testFrozenParametersAndConstants() {
    let (weight, bias) = affine(5)
    weight.isFrozen = true
    let x = tensor([6, 5], seed: 5)
    let check = gradientCheck(inputs: [x], parameters: [weight, bias]) {
      batchNorm($0, weight: weight, bias: bias, over: .local).outputs[0]
    }
    XCTAssertLessThan(check.worstError, 2e-3, check.worst)
    XCTAssertEqual(weight.gradient.array, [0, 0, 0, 0, 0])
    bias.isFrozen = true
    let y = batchNorm([Variable(constant: x)], weight: weight, bias: bias, over: .local).outputs[0]
    XCTAssertFalse(y.needsGradient)
  }

  func testOneMessageForwardAndOneBackward() {
    let (weight, bias) = affine(5)
    var lengths: [Int] = []
    let counting = RankSum { _, count in lengths.append(count) }
    let leaf = Variable.leaf(tensor([6, 5], seed: 5))
    let y = batchNorm(
      [leaf.0, Variable(constant: tensor([4, 5], seed: 6))], weight: weight, bias: bias, over: counting)
    XCTAssertEqual(lengths, [2 * (2 * 5 + 1)])
    y.outputs[0].backward(gradient: tensor([6, 5], seed: 7))
    XCTAssertEqual(lengths, [22, 20])
  }

  func testThreadsDoNotChangeABit() {
    let (weight, bias) = affine(700)
    func run(_ threads: Int) -> [[Float]] {
      ThreadTeam.configure(threads: threads)
      for parameter in [weight, bias] { parameter.gradient.fill(0) }
      let leaves = [1, 2].map { Variable.leaf(tensor([37, 700], seed: $0)) }
      let y = batchNorm(leaves.map(\.0), weight: weight, bias: bias, rectified: true, over: .local).outputs
      add(y[0], scale(y[1], by: 2)).backward(gradient: tensor([37, 700], seed: 7))
      return y.map(\.value.array) + leaves.map { $0.gradient()?.array ?? [] }
        + [weight.gradient.array, bias.gradient.array]
    }
    let one = run(1)
    XCTAssertEqual(run(2), one)
    XCTAssertEqual(run(3), one)
  }

  /// A large mean beside a small variance: the difference of sums is taken in double.
  func testStatisticsOfShiftedValues() {
    let x = tensor([64, 3], seed: 8, scale: 0.01)
    for i in 0..<x.count { x.pointer[i] += 100 }
    let found = batchNorm(
      [Variable(constant: x)], weight: parameter("weight", [3], seed: 1), bias: parameter("bias", [3], seed: 2),
      over: .local
    ).statistics[0]
    expectClose(found.variance.array, moments(x).map { Float($0.variance) }, relative: 1e-5, absolute: 0)
  }

  func testGivenStatistics() {
    for rectified in [false, true] {
      let (weight, bias) = affine(5)
      let x = tensor([6, 5], seed: 5)
      let (mean, variance) = (tensor([5], seed: 6), tensor([5], seed: 7, scale: 0.5))
      for c in 0..<5 { variance.pointer[c] += 1 }
      let (w, b, m, v) = (weight.value.array, bias.value.array, mean.array, variance.array)
      func op(_ x: Variable) -> Variable {
        batchNorm(x, mean: mean, variance: variance, weight: weight, bias: bias, rectified: rectified)
      }
      let expected = x.array.enumerated().map { i, value in
        let c = i % 5
        let y = (value - m[c]) / (v[c] + 1e-5).squareRoot() * w[c] + b[c]
        return rectified ? max(y, 0) : y
      }
      let y = op(Variable(constant: x)).value.array
      expectClose(y, expected, relative: 1e-5, absolute: 1e-6)
      let nearest = y.filter { $0 != 0 }.map(abs).min() ?? 0
      let check = gradientCheck(inputs: [x], parameters: [weight, bias], step: min(1e-2, 0.2 * nearest)) { op($0[0]) }
      XCTAssertLessThan(check.worstError, 2e-3, "\(check.worst) \(rectified)")
    }
  }
}
