import TestKit
import XCTest

@testable import Tensors

final class ProductKernelTests: XCTestCase {
  private let sizes = [(1, 1, 1), (5, 7, 3), (6, 16, 20), (13, 33, 17), (50, 64, 50), (23, 100, 9), (7, 208, 5)]

  func testProductOfRowsAndColumns() {
    onEverySet { set in
      for (m, n, k) in sizes {
        let bStride = (n + 15) / 16 * 16
        let (a, turned, b) = (tensor([m, k], seed: 1), tensor([k, m], seed: 2), tensor([k, bStride], seed: 3))
        let (xs, ts, bs) = (a.array, turned.array, b.array)
        for isTurned in [false, true] {
          let c = Tensor(repeating: 9, [m, n + 1])
          Kernels.product(
            isTurned ? .columns(turned.pointer, stride: m) : .rows(a.pointer, stride: k), b.pointer, stride: bStride,
            into: c.pointer, stride: n + 1, m: m, n: n, k: k)
          var expected: [Float] = []
          for i in 0..<m {
            for j in 0..<n {
              var sum = 0.0
              for l in 0..<k { sum += Double(isTurned ? ts[l * m + i] : xs[i * k + l]) * Double(bs[l * bStride + j]) }
              expected.append(Float(sum))
            }
            expected.append(9)  // nothing is written past the row
          }
          expectClose(c.array, expected, relative: 1e-5, absolute: 3e-6, "\(set) \((m, n, k)) \(isTurned)")
        }
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
            i % stride < rows ? values[i % stride * (width + 3) + i / stride] : 0
          }
          XCTAssertEqual(y.array, expected, "\(set) [\(rows), \(width)]")
        }
      }
    }
  }
}
