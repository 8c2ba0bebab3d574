import COpenBLAS

/// A row-major matrix of doubles with memory of its own, for solvers whose accuracy single precision cannot reach.
package final class DoubleMatrix: @unchecked Sendable {
  /// The number of rows.
  package let rows: Int
  /// The number of columns.
  package let columns: Int
  /// The values, [rows, columns]. Valid as long as the matrix lives.
  package let pointer: UnsafeMutablePointer<Double>

  /// A matrix of zeros.
  package init(zeros rows: Int, _ columns: Int) {
    (self.rows, self.columns) = (rows, columns)
    pointer = .allocate(capacity: max(rows * columns, 1))
    pointer.initialize(repeating: 0, count: rows * columns)
  }

  deinit { pointer.deallocate() }

  /// The number of values.
  package var count: Int { rows * columns }

  /// c = a bᵀ on the calling thread: equal operands give equal bits on any thread of a machine.
  ///
  /// - Shapes: a [m, k], b [n, k] -> c, whose first m rows are written, [.., n]
  package static func productTransposed(_ a: DoubleMatrix, _ b: DoubleMatrix, into c: DoubleMatrix) {
    precondition(
      a.columns == b.columns && c.rows >= a.rows && c.columns == b.rows,
      "productTransposed: \(a.sides) and \(b.sides) into \(c.sides)")
    Matmul.keepLibraryOnOneThread()
    openblas_product_double(
      false, true, a.rows, b.rows, a.columns, a.pointer, a.columns, b.pointer, b.columns, 0, c.pointer, c.columns)
  }

  /// c = aᵀ b on the calling thread, over the first rows of a, as many as b has.
  ///
  /// - Shapes: a [.., m], b [k, n] -> c [m, n]
  package static func transposedProduct(_ a: DoubleMatrix, _ b: DoubleMatrix, into c: DoubleMatrix) {
    precondition(
      a.rows >= b.rows && c.rows == a.columns && c.columns == b.columns,
      "transposedProduct: \(a.sides) and \(b.sides) into \(c.sides)")
    Matmul.keepLibraryOnOneThread()
    openblas_product_double(
      true, false, a.columns, b.columns, b.rows, a.pointer, a.columns, b.pointer, b.columns, 0, c.pointer, c.columns)
  }

  private var sides: String { "[\(rows), \(columns)]" }
}
