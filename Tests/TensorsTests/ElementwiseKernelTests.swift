import Basics
import TestKit
import XCTest

@testable import Tensors

final class ElementwiseKernelTests: XCTestCase {
  func testFillAddScaleAxpy() {
    onEverySet { set in
      for n in oddWidths + [40_000] {
        let (a, b) = (values(n, seed: 1), values(n, seed: 2))
        let y = Tensor(uninitialized: [n])
        y.fill(2.5)
        XCTAssertEqual(y.array, [Float](repeating: 2.5, count: n), "\(set) fill \(n)")
        Kernels.add(Tensor(a, [n]), Tensor(b, [n]), into: y)
        XCTAssertEqual(y.array, zip(a, b).map(+), "\(set) sum \(n)")
        Kernels.add(Tensor(b, [n]).pointer, into: y.pointer, count: n)
        expectClose(y.array, zip(a, b).map { $0 + 2 * $1 }, relative: 1e-6, absolute: 1e-6, "\(set) add \(n)")
        Kernels.scale(y.pointer, count: n, by: -2)
        expectClose(y.array, zip(a, b).map { -2 * $0 - 4 * $1 }, relative: 1e-6, absolute: 1e-6, "\(set) scale \(n)")
      }
    }
  }

  func testSumWithARow() {
    onEverySet { set in
      for width in oddWidths {
        let (a, b, row) = (tensor([5, width], seed: 1), tensor([5, width], seed: 2), tensor([width], seed: 3))
        let y = Tensor(uninitialized: [5, width])
        Kernels.add(a, b, row: row, into: y)
        let expected = y.array.indices.map { a.array[$0] + b.array[$0] + row.array[$0 % width] }
        XCTAssertEqual(y.array, expected, "\(set) \(width)")
      }
    }
  }

  func testGELUMatchesErf() {
    let x = stride(from: Float(-9), to: 9, by: 0.00037).map { $0 } + [0, -100, 100, 5.25, -5.25]
    let expected = x.map { Float(0.5 * Double($0) * (1 + erfReference(Double($0) / 2.0.squareRoot()))) }
    onEverySet { set in
      let input = Tensor(x, [1, x.count])
      let y = Tensor(uninitialized: [1, x.count])
      Kernels.gelu(input, into: y, rows: 0..<1)
      expectClose(y.array, expected, relative: 2e-7, absolute: 1e-6, "\(set)")
    }
  }

  func testGELUBackward() {
    onEverySet { set in
      for width in oddWidths {
        let (x, dy) = (values(5 * width, seed: 3, scale: 4), values(5 * width, seed: 4))
        let gradient = zip(x, dy).map { x, dy -> Double in
          let x = Double(x)
          let density = exp(-x * x / 2) / (2 * Double.pi).squareRoot()
          return Double(dy) * (0.5 * (1 + erfReference(x / 2.0.squareRoot())) + x * density)
        }
        let (pre, post) = (Tensor(x, [5, width]), Tensor(uninitialized: [5, width]))
        Kernels.gelu(pre, into: post, rows: 0..<5)
        let dx = Tensor(dy, [5, width])
        let bias = Tensor(repeating: 1, [width])
        Kernels.geluBackward(overwriting: dx, pre, biasGradient: bias)
        expectClose(dx.array, gradient.map { Float($0) }, relative: 1e-6, absolute: 1e-6, "\(set) dx \(width)")
        XCTAssertEqual(pre.array, post.array, "\(set) GELU again \(width)")
        let sums = (0..<width).map { j in Float((0..<5).reduce(1.0) { $0 + gradient[$1 * width + j] }) }
        expectClose(bias.array, sums, relative: 1e-6, absolute: 3e-6, "\(set) bias \(width)")
      }
    }
  }

  func testNotANumberStaysOne() {
    onEverySet { set in
      let x = Tensor([.nan, 1, -.infinity], [1, 3])
      let y = Tensor(uninitialized: [1, 3])
      Kernels.gelu(x, into: y, rows: 0..<1)
      XCTAssertTrue(y.array[0].isNaN, "\(set) gelu")
      let p = Tensor([.nan, 1, 0], [1, 3])
      Kernels.softmax(p)
      XCTAssertTrue(p.array.allSatisfy(\.isNaN), "\(set) softmax")
    }
  }

  func testAdamW() {
    onEverySet { set in
      for n in oddWidths {
        let (w, g, m) = (values(n, seed: 5), values(n, seed: 6), values(n, seed: 7))
        let v = values(n, seed: 8).map { abs($0) }
        let tensors = [w, g, m, v].map { Tensor($0, [n]) }
        Kernels.adamW(
          weights: tensors[0].pointer, gradients: tensors[1].pointer, m: tensors[2].pointer, v: tensors[3].pointer,
          count: n, lr: 0.01, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.05, biasCorrection1: 0.19,
          biasCorrection2: 0.0975, gradientScale: 0.5)
        for i in 0..<n {
          let g = 0.5 * Double(g[i])
          let first = 0.9 * Double(m[i]) + 0.1 * g
          let second = 0.95 * Double(v[i]) + 0.05 * g * g
          let step = 0.01 * (first / 0.19) / ((second / 0.0975).squareRoot() + 1e-8)
          let weight = Double(w[i]) * (1 - 0.01 * 0.05) - step
          expectClose(
            [tensors[0].array[i], tensors[2].array[i], tensors[3].array[i]],
            [Float(weight), Float(first), Float(second)], relative: 2e-6, absolute: 1e-7, "\(set) \(n) \(i)")
        }
      }
    }
  }

  func testExponentialAverage() {
    onEverySet { set in
      for n in oddWidths {
        let (a, c) = (values(n, seed: 9), values(n, seed: 10))
        let average = Tensor(a, [n])
        Kernels.exponentialAverage(average.pointer, Tensor(c, [n]).pointer, count: n, momentum: 0.75)
        expectClose(average.array, zip(a, c).map { 0.75 * $0 + 0.25 * $1 }, "\(set) \(n)")
      }
    }
  }

  func testRowsMove() {
    onEverySet { set in
      for width in oddWidths {
        let x = tensor([6, width], seed: 11)
        let index: [Int32] = [5, 0, 3, 3]
        let picked = index.flatMap { x.rows(Int($0)..<Int($0) + 1).array }
        let y = Tensor(zeros: [4, width])
        Kernels.gatherRows(x.pointer, index, into: y.pointer, rows: 4, width: width)
        XCTAssertEqual(y.array, picked, "\(set) gather \(width)")
        let back = Tensor(zeros: [6, width])
        Kernels.scatterAddRows(y.pointer, index, into: back.pointer, rows: 4, width: width)
        XCTAssertEqual(back.rows(3..<4).array, x.rows(3..<4).array.map { 2 * $0 }, "\(set) scatter twice \(width)")
        XCTAssertEqual(back.rows(1..<3).array, [Float](repeating: 0, count: 2 * width), "\(set) scatter \(width)")
        let wide = Tensor(repeating: 9, [6, width + 2])
        Kernels.copyBlock(
          x.pointer, stride: width, into: wide.pointer + 1, stride: width + 2, rows: 6, width: width)
        let expected = flat(rows(x.array, width).map { [9] + $0 + [9] })
        XCTAssertEqual(wide.array, expected, "\(set) block \(width)")
        let bias = tensor([width], seed: 12)
        Kernels.biasedRows(bias, x, index, into: y, rows: 1..<4)
        let biased = index[1...].flatMap { zip(x.rows(Int($0)..<Int($0) + 1).array, bias.array).map(+) }
        XCTAssertEqual(y.rows(1..<4).array, biased, "\(set) biased \(width)")
        Kernels.repeatRow(bias, into: y, rows: 0..<2)
        XCTAssertEqual(y.rows(0..<2).array, bias.array + bias.array, "\(set) repeat \(width)")
      }
    }
  }
}
