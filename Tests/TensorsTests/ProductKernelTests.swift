import Foundation
import TestKit
import XCTest

@testable import Tensors

final class ProductKernelTests: XCTestCase {
  private let sizes = [
    (1, 1, 1), (5, 7, 3), (6, 16, 20), (13, 33, 17), (50, 64, 50), (50, 50, 64), (65, 65, 32), (23, 100, 9),
    (7, 208, 5),
  ]

  /// a b in double; `isTurned` takes a [k, m]. b is [k, bStride].
  private func reference(_ a: Tensor, isTurned: Bool, _ b: Tensor, m: Int, n: Int, k: Int) -> [[Double]] {
    let (xs, ys, stride) = (a.array, b.array, b.shape[1])
    return (0..<m).map { i in
      (0..<n).map { j in
        (0..<k).reduce(0.0) { $0 + Double(isTurned ? xs[$1 * m + i] : xs[i * k + $1]) * Double(ys[$1 * stride + j]) }
      }
    }
  }

  func testProducts() {
    onEverySet { set in
      for (m, n, k) in sizes {
        let (a, turned) = (tensor([m, k], seed: 1), tensor([k, m], seed: 2))
        let b = tensor([k, (n + 15) / 16 * 16], seed: 3)
        let factors = tensor([m], seed: 4)
        var ahead = Kernels.Ahead(nothingAt: a.pointer)
        func check(_ name: String, _ expected: [[Double]], _ product: (Kernels.MutableRows) -> Void) {
          let c = Tensor(repeating: 9, [m, n + 1])
          product(.init(c.pointer, stride: n + 1))
          // Nothing is written past the row.
          let withEdge = expected.flatMap { row in row.map { Float($0) } + [Float(9)] }
          expectClose(c.array, withEdge, relative: 1e-5, absolute: 3e-6, "\(set) \(name) \((m, n, k))")
        }
        let columns = Kernels.Rows(b.pointer, stride: b.shape[1])
        check("rows", reference(a, isTurned: false, b, m: m, n: n, k: k)) {
          Kernels.product(.init(a.pointer, stride: k), columns, into: $0, m: m, n: n, k: k, ahead: &ahead)
        }
        let plain = reference(turned, isTurned: true, b, m: m, n: n, k: k)
        check("turned", plain) {
          Kernels.productTurned(.init(turned.pointer, stride: m), columns, into: $0, m: m, n: n, k: k, ahead: &ahead)
        }
        check("factors", zip(plain, factors.array).map { row, factor in row.map { $0 * Double(factor) } }) {
          Kernels.productTurned(
            .init(turned.pointer, stride: m), columns, factors: factors.pointer, into: $0, m: m, n: n, k: k,
            ahead: &ahead)
        }
      }
    }
  }

  /// Products that do more to their columns write whole vectors; what stands past the last column does not count.
  func testProductsWithWhatFollows() {
    onEverySet { set in
      for (m, n, k) in sizes {
        let stride = (n + 15) / 16 * 16
        let (a, b, weights) = (tensor([m, k], seed: 1), tensor([k, stride], seed: 3), tensor([m, stride], seed: 5))
        let known = tensor([stride], seed: 6)
        let expected = reference(a, isTurned: false, b, m: m, n: n, k: k)
        let (rows, columns) = (Kernels.Rows(a.pointer, stride: k), Kernels.Rows(b.pointer, stride: stride))
        var ahead = Kernels.Ahead(nothingAt: a.pointer)
        func check(
          _ name: String, _ values: [[Double]], column: ((Int) -> Double)?,
          _ product: (Kernels.MutableRows, UnsafeMutablePointer<Float>) -> Void
        ) {
          let (c, perColumn) = (Tensor(uninitialized: [m, stride]), known.copy())
          product(.init(c.pointer, stride: stride), perColumn.pointer)
          let seen = (0..<m).flatMap { i in (0..<n).map { c.array[i * stride + $0] } }
          let label = "\(set) \(name) \((m, n, k))"
          expectClose(seen, values.flatMap { $0 }.map { Float($0) }, relative: 1e-5, absolute: 5e-6, label)
          guard let column else { return }
          expectClose(
            Array(perColumn.array.prefix(n)), (0..<n).map { Float(column($0)) }, relative: 1e-5, absolute: 5e-6, label)
        }
        let (before, beside) = (known.array, weights.array)
        check("maxima", expected, column: { j in expected.map { $0[j] }.reduce(Double(before[j]), max) }) {
          Kernels.product(rows, columns, into: $0, maxima: $1, m: m, n: n, k: k, ahead: &ahead)
        }
        let weighted = { (j: Int) in
          expected.enumerated().reduce(Double(before[j])) {
            $0 + $1.element[j] * Double(beside[$1.offset * stride + j])
          }
        }
        check("weighted", expected, column: weighted) {
          Kernels.product(
            rows, columns, into: $0, weights: weights.pointer, sums: $1, m: m, n: n, k: k, ahead: &ahead)
        }
        let exponentials = expected.map { row in row.enumerated().map { exp(0.3 * $1 - Double(before[$0])) } }
        check("exp", exponentials, column: nil) {
          Kernels.productExp(rows, columns, scale: 0.3, shifts: $1, into: $0, m: m, n: n, k: k, ahead: &ahead)
        }
      }
    }
  }

  /// Whatever products fetch, they compute the same, and they come to the end of what was asked for.
  func testFetchingAheadEnds() {
    onEverySet { set in
      let (a, b) = (tensor([50, 64], seed: 1), tensor([64, 64], seed: 2))
      let other = tensor([50, 192], seed: 3)
      func run(_ ahead: inout Kernels.Ahead) -> [Float] {
        let c = Tensor(uninitialized: [50, 64])
        Kernels.product(
          .init(a.pointer, stride: 64), .init(b.pointer, stride: 64), into: .init(c.pointer, stride: 64), m: 50, n: 64,
          k: 64, ahead: &ahead)
        return c.array
      }
      var nothing = Kernels.Ahead(nothingAt: a.pointer)
      let part = { (column: Int) in Kernels.Rows(other.pointer + column, stride: 192) }
      var ahead = Kernels.Ahead((part(0), part(64), part(128), part(0)), count: 3, rows: 50, width: 64, products: 2)
      XCTAssertGreaterThan(ahead.blocks.step, 0)
      let expected = run(&nothing)
      for _ in 0..<2 { XCTAssertEqual(run(&ahead), expected, "\(set)") }
      XCTAssertEqual(ahead.blocks.step, 0, "\(set)")
      XCTAssertEqual(ahead.blocks.index, 2, "\(set)")
      XCTAssertEqual(nothing.blocks.step, 0, "\(set)")
    }
  }

  func testDots() {
    onEverySet { set in
      for (m, n, k) in [(1, 16, 1), (2, 17, 21), (3, 50, 64), (1, 65, 32), (4, 31, 80)] {
        let (a, b) = (tensor([m, k + 3], seed: 1), tensor([n, k + 2], seed: 2))
        let c = Tensor(repeating: 9, [m, n + 1])
        Kernels.dots(
          .init(a.pointer, stride: k + 3), .init(b.pointer, stride: k + 2), into: .init(c.pointer, stride: n + 1), m: m,
          n: n, k: k)
        let (xs, ys) = (a.array, b.array)
        func dot(_ i: Int, _ j: Int) -> Double {
          (0..<k).reduce(0) { $0 + Double(xs[i * (k + 3) + $1]) * Double(ys[j * (k + 2) + $1]) }
        }
        // Nothing is written past the row.
        let expected = (0..<m).flatMap { i in (0..<n).map { Float(dot(i, $0)) } + [Float(9)] }
        expectClose(c.array, expected, relative: 1e-5, absolute: 3e-6, "\(set) \((m, n, k))")
      }
    }
  }

  func testTranspose() {
    onEverySet { set in
      for rows in oddWidths {
        for width in [1, 8, 16, 21, 32, 80] {
          let x = tensor([rows, width + 3], seed: 4)
          let stride = (rows + 15) / 16 * 16
          let y = Tensor(repeating: 9, [width, stride])
          Kernels.transpose(x.pointer, stride: width + 3, into: y.pointer, stride: stride, rows: rows, width: width)
          let values = x.array
          let expected = (0..<width * stride).map { i in
            values[min(i % stride, rows - 1) * (width + 3) + i / stride]
          }
          XCTAssertEqual(y.array, expected, "\(set) [\(rows), \(width)]")
        }
      }
    }
  }
}
