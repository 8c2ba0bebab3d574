// Kernels that move rows. Those over pointers run on the calling thread.
extension Kernels {
  /// Sets some rows of y to one row, on the calling thread.
  ///
  /// - Shapes: row [D], y [R, D]
  package static func repeatRow(_ row: Tensor, into y: Tensor, rows: Range<Int>) {
    let width = y.shape.lastAxis
    precondition(row.count == width, "repeatRow: \(row.shape) into \(y.shape)")
    table.pointee.repeat_row(row.pointer, y.pointer + rows.lowerBound * width, rows.count, width)
  }

  /// y[r] = bias + table[index[r]] for some rows, on the calling thread.
  ///
  /// - Shapes: bias [D], table [L, D], index [R] in 0 ..< L, y [R, D]
  package static func biasedRows(
    _ bias: Tensor, _ positions: Tensor, _ index: UnsafePointer<Int32>, into y: Tensor, rows: Range<Int>
  ) {
    let width = y.shape.lastAxis
    precondition(
      bias.count == width && positions.shape.lastAxis == width,
      "biasedRows: \(bias.shape) + \(positions.shape) into \(y.shape)")
    table.pointee.biased_rows(
      bias.pointer, positions.pointer, index + rows.lowerBound, y.pointer + rows.lowerBound * width, rows.count, width)
  }

  /// y[r] = x[index[r]], on the calling thread.
  package static func gatherRows(
    _ x: UnsafePointer<Float>, _ index: UnsafePointer<Int32>, into y: UnsafeMutablePointer<Float>, rows: Int,
    width: Int
  ) {
    table.pointee.gather_rows(x, index, y, rows, width)
  }

  /// y[index[r]] += x[r], on the calling thread.
  package static func scatterAddRows(
    _ x: UnsafePointer<Float>, _ index: UnsafePointer<Int32>, into y: UnsafeMutablePointer<Float>, rows: Int,
    width: Int
  ) {
    table.pointee.scatter_add_rows(x, index, y, rows, width)
  }

  /// y = a + b for one row, on the calling thread.
  package static func addRow(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, width: Int
  ) {
    table.pointee.sum_of(a, b, y, width)
  }

  /// Copies a block of rows between matrices of different row lengths, on the calling thread.
  package static func copyBlock(
    _ x: UnsafePointer<Float>, stride xStride: Int, into y: UnsafeMutablePointer<Float>, stride yStride: Int,
    rows: Int, width: Int
  ) {
    table.pointee.copy_block(x, xStride, y, yStride, rows, width)
  }
}
