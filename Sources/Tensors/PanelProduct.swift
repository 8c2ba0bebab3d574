import CKernels
import Glibc

/// The program's own matrix product, on the calling thread.
///
/// A slab of the right operand, small enough for the L2 cache, is packed into panels; then blocks of a few rows of the
/// left operand, small enough for the L1 cache, run over all of its panels. Every element of the result is one chain
/// of sums over at most `Cut.inner` products, added up slab by slab: the bits depend neither on the other sizes nor on
/// how rows and columns are dealt to threads, and AVX2 and AVX-512 give the same.
///
/// - Source: Goto and van de Geijn, Anatomy of high-performance matrix multiplication, ACM TOMS 34 (2008).
enum PanelProduct {
  /// Rows this many floats apart, or a multiple of it, share their places in the L1 cache.
  private static let pageFloats = 1024
  /// Floats of a slab: a little over half of the L2 cache, since blocks and results pass through it too.
  static let slabFloats = max(32 << 10, sysconf(Int32(_SC_LEVEL2_CACHE_SIZE)) * 9 / 16 / 4)

  /// An operand inside memory, row-major as stored, or the transpose of that.
  struct Operand {
    let base: UnsafePointer<Float>
    let stride: Int
    let isTransposed: Bool

    func at(_ row: Int, _ column: Int) -> UnsafePointer<Float> {
      isTransposed ? base + column * stride + row : base + row * stride + column
    }
  }

  /// How an operand [k, n] that is packed into panels, or into blocks, is cut into slabs of equal size.
  struct Cut {
    let n, k: Int
    /// The most columns of a slab, a multiple of `unit`, and the most steps along the sum.
    let columns, inner: Int

    /// - Parameters:
    ///   - longest: steps along the sum of one slab, at most.
    ///   - unit: columns of a panel or block.
    init(
      n: Int, k: Int, longest: Int, unit: Int = Kernels.table.pointee.panel_columns,
      slabFloats: Int = PanelProduct.slabFloats
    ) {
      precondition(k > 0 && n > 0, "PanelProduct: an operand of \(k) x \(n)")
      (self.n, self.k) = (n, k)
      inner = evenPart(of: k, atMost: longest)
      columns = evenPart(of: n, atMost: max(1, slabFloats / inner / unit) * unit).roundedUp(to: unit)
    }

    var columnBlocks: Int { (n + columns - 1) / columns }
    var steps: Int { (k + inner - 1) / inner }

    func columns(ofBlock block: Int) -> Range<Int> { block * columns..<min((block + 1) * columns, n) }
    func inner(ofStep step: Int) -> Range<Int> { step * inner..<min((step + 1) * inner, k) }
  }

  /// Packs columns of b, which begin a panel, along a part of the sum.
  static func pack(
    _ b: Operand, columns: Range<Int>, inner: Range<Int>, into panels: UnsafeMutablePointer<Float>
  ) {
    let kernels = Kernels.table.pointee
    let from = b.at(inner.lowerBound, columns.lowerBound)
    if b.isTransposed {
      kernels.pack_panels_transposed(from, b.stride, panels, inner.count, columns.count)
    } else {
      kernels.pack_panels(from, b.stride, panels, inner.count, columns.count)
    }
  }

  /// A packed part of the right operand, and what happens to the result.
  struct Slab {
    let panels: UnsafePointer<Float>
    let columns, inner: Range<Int>
    let accumulate: Bool
    /// Added to every row of the result that is not accumulated. [n]
    let row: UnsafePointer<Float>?

    /// c [rows, n] = rows of a times the slab, a as stored.
    ///
    /// Rows of a are copied where they lie pages apart and so push each other out of the L1 cache, and at the end,
    /// where a block must not reach past them.
    func multiply(
      _ a: Operand, rows: Range<Int>, scratch: UnsafeMutablePointer<Float>, into c: UnsafeMutablePointer<Float>,
      stride: Int
    ) {
      let blockRows = Kernels.table.pointee.panel_rows
      let (step, depth) = (inner.lowerBound, inner.count)
      let isCopied = a.stride % pageFloats == 0
      for row in Swift.stride(from: rows.lowerBound, to: rows.upperBound, by: blockRows) {
        let count = min(blockRows, rows.upperBound - row)
        let next = min(row + count, rows.upperBound - 1)
        var block = CKernelsPanelBlock(
          values: a.at(row, step), row: a.stride, rows: count, packed: 0, next: a.at(next, step), next_row: a.stride,
          next_rows: min(blockRows, rows.upperBound - next), ahead: nil)
        if isCopied || count < blockRows {
          Kernels.table.pointee.copy_block(block.values, a.stride, scratch, depth + 16, count, depth)
          (block.values, block.row) = (UnsafePointer(scratch), depth + 16)
        }
        multiply(&block, into: c + row * stride, stride: stride)
      }
    }

    /// c [rows, n] = packed blocks of rows, `depth` floats for each row, times the slab.
    func multiply(
      blocks: UnsafePointer<Float>, rows: Int, into c: UnsafeMutablePointer<Float>, stride: Int,
      ahead: inout Kernels.Ahead
    ) {
      let (blockRows, depth) = (Kernels.table.pointee.panel_rows, inner.count)
      withUnsafeMutablePointer(to: &ahead.blocks) { ahead in
        for row in Swift.stride(from: 0, to: rows, by: blockRows) {
          let values = blocks + row * depth
          var block = CKernelsPanelBlock(
            values: values, row: 1, rows: min(blockRows, rows - row), packed: 1, next: values, next_row: 0,
            next_rows: 0, ahead: ahead)
          multiply(&block, into: c + row * stride, stride: stride)
        }
      }
    }

    /// The turns that products of packed rows with this slab take along their sums, two of its steps each.
    func turns(rows: Int) -> Int {
      let table = Kernels.table.pointee
      let tiles =
        ((rows + table.panel_rows - 1) / table.panel_rows)
        * ((columns.count + table.panel_columns - 1) / table.panel_columns)
      return max(1, tiles * (inner.count / 2))
    }

    private func multiply(
      _ block: inout CKernelsPanelBlock, into c: UnsafeMutablePointer<Float>, stride: Int
    ) {
      Kernels.table.pointee.panel_product(
        &block, panels, c + columns.lowerBound, stride, columns.count, inner.count, accumulate ? 1 : 0,
        row.map { $0 + columns.lowerBound })
    }
  }

  /// The size of equal parts of `count`, each at most `limit`.
  private static func evenPart(of count: Int, atMost limit: Int) -> Int {
    let parts = max(1, (count + limit - 1) / limit)
    return max(1, (count + parts - 1) / parts)
  }
}
