import Autodiff
import Basics
import TestKit
import Tensors
import XCTest

final class AttentionTests: XCTestCase {
  override func tearDown() { ThreadTeam.configure(threads: 1) }

  /// (images, tokens, heads, head width)
  private let sizes = [(1, 1, 1, 1), (2, 5, 2, 3), (3, 17, 1, 8), (1, 19, 2, 5), (5, 4, 3, 5)]

  /// Attention by its definition, in double.
  private func reference(_ x: Tensor, _ w: Parameter, _ b: Parameter, heads: Int) -> [Float] {
    let (images, n, width) = (x.shape[0], x.shape[1], x.shape[2])
    let d = width / heads
    let (xs, ws, bs) = (x.array, w.value.array, b.value.array)
    var y = [Float](repeating: 0, count: x.count)
    for image in 0..<images {
      func qkv(_ token: Int, _ which: Int, _ head: Int, _ element: Int) -> Double {
        let row = which * width + head * d + element
        return (0..<width).reduce(Double(bs[row])) {
          $0 + Double(xs[(image * n + token) * width + $1]) * Double(ws[row * width + $1])
        }
      }
      for head in 0..<heads {
        let parts = (0..<3).map { which in (0..<n).map { t in (0..<d).map { qkv(t, which, head, $0) } } }
        for i in 0..<n {
          let scores = parts[1].map { k in zip(parts[0][i], k).reduce(0) { $0 + $1.0 * $1.1 } / Double(d).squareRoot() }
          let e = scores.map { exp($0 - (scores.max() ?? 0)) }
          let sum = e.reduce(0, +)
          for j in 0..<d {
            let value = (0..<n).reduce(0.0) { $0 + e[$1] / sum * parts[2][$1][j] }
            y[(image * n + i) * width + head * d + j] = Float(value)
          }
        }
      }
    }
    return y
  }

  func testSelfAttention() {
    for threads in 1...3 {
      ThreadTeam.configure(threads: threads)
      for (images, tokens, heads, d) in sizes + [(3, 50, 2, 32), (1, 65, 2, 64), (1, 33, 1, 72)] {
        let width = heads * d
        let x = tensor([images, tokens, width], seed: 1)
        let (w, b) = (
          parameter("w", [3 * width, width], seed: 2, scale: 2 / Float(width).squareRoot()),
          parameter("b", [3 * width], seed: 3)
        )
        func op(_ x: Variable) -> Variable { selfAttention(x, qkvWeight: w, qkvBias: b, heads: heads) }
        let y = op(Variable(constant: x))
        expectClose(y.value.array, reference(x, w, b, heads: heads), relative: 1e-4, absolute: 1e-5, "\(x.shape)")
        let silent = withoutGradient { op(Variable(constant: x)) }
        XCTAssertFalse(silent.needsGradient)
        XCTAssertEqual(silent.value.array, y.value.array)
      }
    }
  }

  func testSelfAttentionGradient() {
    for threads in 1...2 {
      ThreadTeam.configure(threads: threads)
      for (images, tokens, heads, d) in sizes {
        let width = heads * d
        let x = tensor([images, tokens, width], seed: 1)
        let (w, b) = (parameter("w", [3 * width, width], seed: 2), parameter("b", [3 * width], seed: 3))
        let check = gradientCheck(inputs: [x], parameters: [w, b]) {
          selfAttention($0[0], qkvWeight: w, qkvBias: b, heads: heads)
        }
        XCTAssertLessThan(check.worstError, 3e-3, "\(check.worst) of \(x.shape) on \(threads) threads")
      }
    }
  }

  /// Several groups of images go through one thread.
  func testManyImagesGiveWhatEachGivesAlone() {
    let (w, b) = (parameter("w", [96, 32], seed: 2, scale: 0.3), parameter("b", [96], seed: 3))
    let x = tensor([9, 200, 32], seed: 4)
    let (together, gradient) = Variable.leaf(x)
    let y = selfAttention(together, qkvWeight: w, qkvBias: b, heads: 2)
    let dy = tensor(y.shape, seed: 5)
    y.backward(gradient: dy)
    let all = (weight: w.gradient.array, bias: b.gradient.array)
    w.gradient.fill(0)
    b.gradient.fill(0)
    for image in 0..<9 {
      let (alone, own) = Variable.leaf(x.rows(image..<image + 1))
      let single = selfAttention(alone, qkvWeight: w, qkvBias: b, heads: 2)
      expectClose(single.value.array, y.value.rows(image..<image + 1).array, relative: 1e-4, absolute: 1e-6)
      single.backward(gradient: dy.rows(image..<image + 1))
      expectClose(
        own()?.array ?? [], gradient()?.rows(image..<image + 1).array ?? [], relative: 1e-3, absolute: 1e-6)
    }
    XCTAssertLessThan(relativeError(w.gradient.array, all.weight), 1e-5)
    XCTAssertLessThan(relativeError(b.gradient.array, all.bias), 1e-5)
  }

  func testSameBitsEveryTime() {
    ThreadTeam.configure(threads: 2)
    let (w, b) = (parameter("w", [96, 32], seed: 2, scale: 0.3), parameter("b", [96], seed: 3))
    let x = tensor([7, 50, 32], seed: 4)
    func run() -> [Float] {
      w.gradient.fill(0)
      b.gradient.fill(0)
      let (leaf, gradient) = Variable.leaf(x)
      let y = selfAttention(leaf, qkvWeight: w, qkvBias: b, heads: 4)
      y.backward(gradient: tensor(y.shape, seed: 5))
      return y.value.array + w.gradient.array + b.gradient.array + (gradient()?.array ?? [])
    }
    let first = run()
    for _ in 0..<3 { XCTAssertEqual(run(), first) }
  }

  /// With one group of images a thread and with several.
  func testQKVMadeAgainGivesTheSameBits() {
    for threads in 1...3 {
      ThreadTeam.configure(threads: threads)
      for shape in [[7, 50, 32], [9, 200, 32], [2, 5, 8]] as [Shape] {
        let width = shape.lastAxis
        let (w, b) = (parameter("w", [3 * width, width], seed: 2), parameter("b", [3 * width], seed: 3))
        func run(keepsQKV: Bool) -> [[Float]] {
          w.gradient.fill(0)
          b.gradient.fill(0)
          let (leaf, gradient) = Variable.leaf(tensor(shape, seed: 4))
          let y = selfAttention(leaf, qkvWeight: w, qkvBias: b, heads: 4, keepsQKV: keepsQKV)
          y.backward(gradient: tensor(y.shape, seed: 5))
          return [y.value.array, w.gradient.array, b.gradient.array, gradient()?.array ?? []]
        }
        XCTAssertEqual(run(keepsQKV: false), run(keepsQKV: true), "\(shape) on \(threads) threads")
      }
    }
  }

  func testEveryInstructionSetAgrees() {
    let before = InstructionSet.chosen
    defer { InstructionSet.force(before) }
    let (w, b) = (parameter("w", [192, 64], seed: 2, scale: 0.3), parameter("b", [192], seed: 3))
    let x = tensor([2, 50, 64], seed: 4)
    let expected = reference(x, w, b, heads: 2)
    let gradients = InstructionSet.available.map { set in
      InstructionSet.force(set)
      let (leaf, gradient) = Variable.leaf(x)
      let y = selfAttention(leaf, qkvWeight: w, qkvBias: b, heads: 2)
      expectClose(y.value.array, expected, relative: 1e-4, absolute: 1e-5, "\(set)")
      y.backward(gradient: tensor(y.shape, seed: 5))
      return gradient()?.array ?? []
    }
    for gradient in gradients { XCTAssertLessThan(relativeError(gradient, gradients[0]), 1e-5) }
  }
}
