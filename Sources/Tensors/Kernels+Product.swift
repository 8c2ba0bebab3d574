import CKernels

// Small products on the calling thread, for operands that stay in cache; the large ones are `Matmul`'s.
extension Kernels {
  /// A matrix inside memory: row i begins at `base + i * stride`.
  package struct Rows {
    package let base: UnsafePointer<Float>
    package let stride: Int

    package init(_ base: UnsafePointer<Float>, stride: Int) {
      (self.base, self.stride) = (base, stride)
    }
  }

  /// Where a result goes: row i begins at `base + i * stride`.
  package struct MutableRows {
    let base: UnsafeMutablePointer<Float>
    let stride: Int

    package init(_ base: UnsafeMutablePointer<Float>, stride: Int) {
      (self.base, self.stride) = (base, stride)
    }
  }

  /// The rows that products fetch meanwhile, for what follows: they come from memory by the time it begins.
  package struct Ahead {
    var blocks: CKernelsAhead

    /// For the head after this one: up to four blocks of as many rows of one width, spread over some products of as many
    /// rows; none fetches nothing.
    package init(_ blocks: (Rows, Rows, Rows, Rows), count: Int, rows: Int, width: Int, products: Int) {
      // A tile of 24 vectors takes a turn for each element of the sum.
      self.init(
        blocks, count: count, rows: rows, width: width, turns: max(1, products * rows * rows * width / (16 * 24)))
    }

    /// For the block of rows after this one: spread over `turns` of a product along its sums.
    init(_ block: Rows, rows: Int, width: Int, turns: Int) {
      self.init((block, block, block, block), count: 1, rows: rows, width: width, turns: turns)
    }

    private init(_ blocks: (Rows, Rows, Rows, Rows), count: Int, rows: Int, width: Int, turns: Int) {
      let (a, b, c, d) = blocks
      // Lines that are asked for faster than they come hold up the product's own loads.
      let step = (count * rows * width + turns - 1) / turns
      self.blocks = CKernelsAhead(
        block: (a.base, b.base, c.base, d.base), stride: (a.stride, b.stride, c.stride, d.stride), blocks: count,
        rows: rows, width: width, first: a.base, at: a.base, end: a.base + width, row: 0, index: 0,
        step: min(step, 16))
    }

    /// Nothing; any valid pointer does.
    package init(nothingAt pointer: UnsafePointer<Float>) {
      let block = Rows(pointer, stride: 0)
      self.init((block, block, block, block), count: 0, rows: 1, width: 16, products: 1)
    }
  }

  /// c = a b. Memory behind b must be readable up to the next multiple of 16 columns, here and below.
  ///
  /// - Shapes: a [m, k], b [k, n] -> c [m, n]
  package static func product(
    _ a: Rows, _ b: Rows, into c: MutableRows, m: Int, n: Int, k: Int, ahead: inout Ahead
  ) {
    with(a, b, c, m, n, k) { table.pointee.product($0, &ahead.blocks) }
  }

  /// c = aᵀ b, its rows times `factors`.
  ///
  /// - Shapes: a [k, m], b [k, n], factors [m] -> c [m, n]
  package static func productTurned(
    _ a: Rows, _ b: Rows, factors: UnsafePointer<Float>? = nil, into c: MutableRows, m: Int, n: Int, k: Int,
    ahead: inout Ahead
  ) {
    with(a, b, c, m, n, k) { table.pointee.product_turned($0, factors, &ahead.blocks) }
  }

  /// c = a b, and the maxima of its columns and of what stood in `maxima`. Whole vectors of c are written, here and below.
  ///
  /// - Shapes: a [m, k], b [k, n] -> c [m, n], maxima [n rounded up to 16]
  package static func product(
    _ a: Rows, _ b: Rows, into c: MutableRows, maxima: UnsafeMutablePointer<Float>, m: Int, n: Int, k: Int,
    ahead: inout Ahead
  ) {
    with(a, b, c, m, n, k) { table.pointee.product_maxima($0, maxima, &ahead.blocks) }
  }

  /// c = exp(scale a b - shift), one shift a column.
  ///
  /// - Shapes: a [m, k], b [k, n], shifts [n rounded up to 16] -> c [m, n]
  package static func productExp(
    _ a: Rows, _ b: Rows, scale: Float, shifts: UnsafePointer<Float>, into c: MutableRows, m: Int, n: Int, k: Int,
    ahead: inout Ahead
  ) {
    with(a, b, c, m, n, k) { table.pointee.product_exp($0, scale, shifts, &ahead.blocks) }
  }

  /// c = a b; the column sums of c times `weights`, which lie like c, are added to `sums`.
  ///
  /// - Shapes: a [m, k], b [k, n], weights [m, n] -> c [m, n], sums [n rounded up to 16]
  package static func product(
    _ a: Rows, _ b: Rows, into c: MutableRows, weights: UnsafePointer<Float>, sums: UnsafeMutablePointer<Float>, m: Int,
    n: Int, k: Int, ahead: inout Ahead
  ) {
    with(a, b, c, m, n, k) { table.pointee.product_weighted($0, weights, sums, &ahead.blocks) }
  }

  private static func with(
    _ a: Rows, _ b: Rows, _ c: MutableRows, _ m: Int, _ n: Int, _ k: Int,
    _ body: (UnsafePointer<CKernelsProduct>) -> Void
  ) {
    var product = CKernelsProduct(
      a: a.base, a_stride: a.stride, b: b.base, b_stride: b.stride, c: c.base, c_stride: c.stride, rows: m, columns: n,
      inner: k)
    body(&product)
  }

  /// c = a bᵀ for a few rows of a, of which a product would leave most of its vectors empty.
  ///
  /// - Shapes: a [m, k], b [n, k], n at least 16 -> c [m, n]
  package static func dots(_ a: Rows, _ b: Rows, into c: MutableRows, m: Int, n: Int, k: Int) {
    precondition(n >= 16, "dots: \(n) rows")
    table.pointee.dots(a.base, a.stride, b.base, b.stride, c.base, c.stride, m, n, k)
  }

  /// y = xᵀ, each row of y filled up to a multiple of 16 by its last element.
  ///
  /// - Shapes: x [rows, width] -> y [width, rows], yStride at least rows rounded up to 16
  package static func transpose(
    _ x: UnsafePointer<Float>, stride xStride: Int, into y: UnsafeMutablePointer<Float>, stride yStride: Int,
    rows: Int, width: Int
  ) {
    table.pointee.transpose(x, xStride, y, yStride, rows, width)
  }
}
