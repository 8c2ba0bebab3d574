import TestKit
import XCTest

@testable import Tensors

/// Products in double precision against plain loops, on sides that are no multiples of anything.
final class DoubleMatrixTests: XCTestCase {
  private func matrix(_ rows: Int, _ columns: Int, seed: UInt64) -> DoubleMatrix {
    let matrix = DoubleMatrix(zeros: rows, columns)
    for (i, value) in ExactRandom.floats(rows * columns, seed: seed).enumerated() { matrix.pointer[i] = Double(value) }
    return matrix
  }

  func testProducts() {
    for (m, n, k) in [(1, 1, 1), (3, 5, 7), (32, 10, 33), (65, 17, 129)] {
      let (a, b, c) = (matrix(m, k, seed: 1), matrix(n, k, seed: 2), matrix(m + 2, n, seed: 3))
      let untouched = c.pointer[m * n]
      DoubleMatrix.productTransposed(a, b, into: c)  // [m, n]
      for i in 0..<m {
        for j in 0..<n {
          let expected = (0..<k).reduce(0.0) { $0 + a.pointer[i * k + $1] * b.pointer[j * k + $1] }
          XCTAssertEqual(c.pointer[i * n + j], expected, accuracy: 1e-13)
        }
      }
      XCTAssertEqual(c.pointer[m * n], untouched)
      let d = matrix(n, k, seed: 4)
      DoubleMatrix.transposedProduct(c, a, into: d)  // [n, k]
      for i in 0..<n {
        for j in 0..<k {
          let expected = (0..<m).reduce(0.0) { $0 + c.pointer[$1 * n + i] * a.pointer[$1 * k + j] }
          XCTAssertEqual(d.pointer[i * k + j], expected, accuracy: 1e-12 * Double(k))
        }
      }
    }
  }
}
