// Small products on the calling thread, for operands that stay in cache; the large ones are `Matmul`'s.
extension Kernels {
  /// A matrix inside memory: element (i, k) stands at i * row + k * inner.
  package struct Operand {
    let base: UnsafePointer<Float>
    let row: Int
    let inner: Int

    /// Rows of a row-major matrix.
    package static func rows(_ base: UnsafePointer<Float>, stride: Int) -> Operand {
      Operand(base: base, row: stride, inner: 1)
    }

    /// The columns of a row-major matrix taken as rows.
    package static func columns(_ base: UnsafePointer<Float>, stride: Int) -> Operand {
      Operand(base: base, row: 1, inner: stride)
    }
  }

  /// c = a b. Memory behind b must be readable up to the next multiple of 16 columns.
  ///
  /// - Shapes: a [m, k], b [k, n] -> c [m, n]
  package static func product(
    _ a: Operand, _ b: UnsafePointer<Float>, stride bStride: Int, into c: UnsafeMutablePointer<Float>,
    stride cStride: Int, m: Int, n: Int, k: Int
  ) {
    table.pointee.product(a.base, a.row, a.inner, b, bStride, c, cStride, m, n, k)
  }

  /// y = xᵀ, each row of y filled with zeros up to a multiple of 16.
  ///
  /// - Shapes: x [rows, width] -> y [width, rows], yStride at least rows rounded up to 16
  package static func transpose(
    _ x: UnsafePointer<Float>, stride xStride: Int, into y: UnsafeMutablePointer<Float>, stride yStride: Int,
    rows: Int, width: Int
  ) {
    table.pointee.transpose(x, xStride, y, yStride, rows, width)
  }
}
