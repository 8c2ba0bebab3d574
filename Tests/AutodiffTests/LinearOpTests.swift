import Autodiff
import Basics
import TestKit
import Tensors
import XCTest

final class LinearOpTests: XCTestCase {
  override func tearDown() { ThreadTeam.configure(threads: 1) }

  private let sizes = [(1, 1, 1), (3, 5, 7), (17, 6, 4)]

  private func reference(_ x: Tensor, _ w: Parameter, _ b: Parameter?) -> [Float] {
    let (k, n) = (x.shape.lastAxis, w.shape[0])
    let (xs, ws, bs) = (x.array, w.value.array, b?.value.array)
    return (0..<x.shape.leading * n).map { i in
      let sum = (0..<k).reduce(Double(bs?[i % n] ?? 0)) { $0 + Double(xs[i / n * k + $1]) * Double(ws[i % n * k + $1]) }
      return Float(sum)
    }
  }

  func testLinear() {
    for threads in 1...3 {
      ThreadTeam.configure(threads: threads)
      for (r, n, k) in sizes {
        let x = tensor([2, r, k], seed: 1)
        let (w, b) = (parameter("w", [n, k], seed: 2), parameter("b", [n], seed: 3))
        for bias in [b, nil] {
          let y = linear(Variable(constant: x), w, bias: bias)
          XCTAssertEqual(y.shape, [2, r, n])
          expectClose(y.value.array, reference(x, w, bias), relative: 1e-5, absolute: 1e-6)
          let check = gradientCheck(inputs: [x], parameters: [w] + [bias].compactMap { $0 }) {
            linear($0[0], w, bias: bias)
          }
          XCTAssertLessThan(check.worstError, 1e-4, check.worst)
        }
      }
    }
  }

  func testMLP() {
    for threads in 1...2 {
      ThreadTeam.configure(threads: threads)
      for (r, n, k) in sizes {
        let x = tensor([r, k], seed: 1, scale: 2)
        let (w1, b) = (parameter("w1", [n, k], seed: 2), parameter("b", [n], seed: 3))
        let w2 = parameter("w2", [k + 1, n], seed: 4)
        let activated = reference(x, w1, b).map { v -> Float in
          Float(0.5 * Double(v) * (1 + erf(Double(v) / 2.0.squareRoot())))
        }
        let expected = reference(Tensor(activated, [r, n]), w2, nil)
        func op(_ x: Variable) -> Variable { mlp(x, w1, bias1: b, w2) }
        let y = op(Variable(constant: x))
        XCTAssertEqual(y.shape, [r, k + 1])
        expectClose(y.value.array, expected, relative: 1e-5, absolute: 5e-6)
        XCTAssertEqual(withoutGradient { op(Variable(constant: x)) }.value.array, y.value.array)
        for frozen in [nil, w1, b, w2] {
          frozen?.isFrozen = true
          defer { frozen?.isFrozen = false }
          let check = gradientCheck(inputs: [x], parameters: [w1, b, w2]) { op($0[0]) }
          XCTAssertLessThan(check.worstError, 1e-3, "\(check.worst), frozen \(frozen?.name ?? "nothing")")
        }
      }
    }
  }

  func testPatchLinear() {
    let patches = tensor([2, 3, 12], seed: 1)
    let positions = tensor([5, 8], seed: 2)
    let (w, b) = (parameter("w", [8, 3, 2, 2], seed: 3), parameter("b", [8], seed: 4))
    let indices: [Int32] = [4, 0, 2, 1, 1, 3]
    let flat = Parameter(name: "flat", shape: [8, 12])
    flat.bind(value: w.value.reshaped([8, 12]), gradient: w.gradient.reshaped([8, 12]))
    for picked in [indices, nil] {
      let y = patchLinear(patches, w, bias: b, positions: positions, indices: picked)
      let places = (picked ?? [0, 1, 2, 0, 1, 2]).map { Int($0) }
      let added = places.flatMap { positions.rows($0..<$0 + 1).array }
      expectClose(
        y.value.array, zip(reference(patches, flat, b), added).map(+), relative: 1e-5, absolute: 2e-6)
      let check = gradientCheck(inputs: [], parameters: [w, b]) { _ in
        patchLinear(patches, w, bias: b, positions: positions, indices: picked)
      }
      XCTAssertLessThan(check.worstError, 1e-4, check.worst)
    }
  }

  func testProductWithAConstant() {
    let (x, matrix) = (tensor([4, 3], seed: 1), parameter("m", [6, 3], seed: 2))
    expectClose(product(Variable(constant: x), constant: matrix.value).value.array, reference(x, matrix, nil))
    let check = gradientCheck(inputs: [x]) { product($0[0], constant: matrix.value) }
    XCTAssertLessThan(check.worstError, 1e-4)
  }

  func testArithmetic() {
    let (a, b) = (tensor([3, 4], seed: 1), tensor([3, 4], seed: 2))
    let w = parameter("w", [3, 4], seed: 3)
    let y = add(Variable(constant: a), scale(Variable(constant: b), by: 3))
    expectClose(y.value.array, zip(a.array, b.array).map { $0 + 3 * $1 })
    XCTAssertEqual(mean(y).value.item, y.value.array.reduce(0, +) / 12, accuracy: 1e-6)
    let check = gradientCheck(inputs: [a, b], parameters: [w]) {
      reshape(add(add($0[0], scale($0[1], by: 3)), variable(w)), [4, 3])
    }
    XCTAssertLessThan(check.worstError, 1e-4, check.worst)
    let ofMean = gradientCheck(inputs: [a]) { mean($0[0]) }
    XCTAssertLessThan(ofMean.worstError, 1e-3, ofMean.worst)
  }
}
