import CKernels
import Glibc

/// The program's own matrix product, on the calling thread.
///
/// A slab of the right operand, small enough for the L2 cache, is packed into panels; then blocks of a few rows of the
/// left operand, small enough for the L1 cache, run over all of its panels. Every element of the result is one chain
/// of sums over at most `slabInner` products, added up slab by slab: the bits depend neither on the other sizes nor on
/// how rows and columns are dealt to threads, and AVX2 and AVX-512 give the same.
///
/// - Source: Goto and van de Geijn, Anatomy of high-performance matrix multiplication, ACM TOMS 34 (2008).
enum PanelProduct {
  /// Steps along the sum of one slab.
  static let slabInner = 384
  /// Blocks of a transposed left operand that are packed together.
  private static let blocksTogether = 12
  /// Rows this many floats apart, or a multiple of it, share their places in the L1 cache.
  private static let pageFloats = 1024
  /// Floats of a slab: a little over half of the L2 cache, since blocks and results pass through it too.
  private static let slabFloats = max(32 << 10, sysconf(Int32(_SC_LEVEL2_CACHE_SIZE)) * 9 / 16 / 4)

  /// An operand inside memory, row-major as stored, or the transpose of that.
  struct Operand {
    let base: UnsafePointer<Float>
    let stride: Int
    let isTransposed: Bool

    func at(_ row: Int, _ column: Int) -> UnsafePointer<Float> {
      isTransposed ? base + column * stride + row : base + row * stride + column
    }
  }

  /// c = a b, or c += a b, or c = a b + row.
  ///
  /// - Shapes: a [m, k], b [k, n], row [n] -> c [m, n]
  static func multiply(
    _ a: Operand, _ b: Operand, into c: UnsafeMutablePointer<Float>, stride: Int, m: Int, n: Int, k: Int,
    accumulate: Bool, row: UnsafePointer<Float>? = nil
  ) {
    precondition(k > 0, "PanelProduct.multiply: nothing to sum")
    guard m > 0, n > 0 else { return }
    let kernels = Kernels.table.pointee
    let (blockRows, panelColumns) = (kernels.panel_rows, kernels.panel_columns)
    let inner = evenPart(of: k, atMost: slabInner)
    let columns = evenPart(of: n, atMost: max(1, slabFloats / inner / panelColumns) * panelColumns)
      .roundedUp(to: panelColumns)
    let panels = Tensor(uninitialized: [columns * inner])
    let blocks = Tensor(uninitialized: [blocksTogether * blockRows * (inner + 16)])
    for column in Swift.stride(from: 0, to: n, by: columns) {
      let width = min(columns, n - column)
      for step in Swift.stride(from: 0, to: k, by: inner) {
        let depth = min(inner, k - step)
        let from = b.at(step, column)
        if b.isTransposed {
          kernels.pack_panels_transposed(from, b.stride, panels.pointer, depth, width)
        } else {
          kernels.pack_panels(from, b.stride, panels.pointer, depth, width)
        }
        let slab = Slab(
          panels: panels.pointer, blocks: blocks.pointer, step: step, depth: depth, width: width,
          accumulate: accumulate || step > 0, row: step == 0 ? row.map { $0 + column } : nil)
        if a.isTransposed {
          slab.multiplyTransposed(a, into: c + column, stride: stride, rows: m)
        } else {
          slab.multiply(a, into: c + column, stride: stride, rows: m)
        }
      }
    }
  }

  /// The size of equal parts of `count`, each at most `limit`.
  private static func evenPart(of count: Int, atMost limit: Int) -> Int {
    let parts = max(1, (count + limit - 1) / limit)
    return max(1, (count + parts - 1) / parts)
  }

  /// A packed part of the right operand, and what is multiplied with it.
  private struct Slab {
    let panels, blocks: UnsafeMutablePointer<Float>
    let step, depth, width: Int
    let accumulate: Bool
    let row: UnsafePointer<Float>?

    /// Rows of a are copied where they lie pages apart and so push each other out of the L1 cache, and at the end, where
    /// a block must not reach past them.
    func multiply(_ a: Operand, into c: UnsafeMutablePointer<Float>, stride: Int, rows: Int) {
      let kernels = Kernels.table.pointee
      let blockRows = kernels.panel_rows
      let isCopied = a.stride % pageFloats == 0
      for row in Swift.stride(from: 0, to: rows, by: blockRows) {
        let count = min(blockRows, rows - row)
        let next = min(row + count, rows - 1)
        var block = CKernelsPanelBlock(
          values: a.at(row, step), row: a.stride, rows: count, packed: 0, next: a.at(next, step), next_row: a.stride,
          next_rows: min(blockRows, rows - next))
        if isCopied || count < blockRows {
          kernels.copy_block(block.values, a.stride, blocks, depth + 16, count, depth)
          (block.values, block.row) = (UnsafePointer(blocks), depth + 16)
        }
        kernels.panel_product(&block, panels, c + row * stride, stride, width, depth, accumulate ? 1 : 0, self.row)
      }
    }

    /// Columns of the stored matrix are rows of a: some blocks of them are packed together.
    func multiplyTransposed(_ a: Operand, into c: UnsafeMutablePointer<Float>, stride: Int, rows: Int) {
      let kernels = Kernels.table.pointee
      let blockRows = kernels.panel_rows
      for first in Swift.stride(from: 0, to: rows, by: blocksTogether * blockRows) {
        let together = min(blocksTogether * blockRows, rows - first)
        kernels.pack_blocks(a.at(first, step), a.stride, blocks, depth, together)
        for row in Swift.stride(from: 0, to: together, by: blockRows) {
          let next = row + blockRows < together ? row + blockRows : 0
          var block = CKernelsPanelBlock(
            values: blocks + row * depth, row: 1, rows: min(blockRows, together - row), packed: 1,
            next: blocks + next * depth, next_row: depth, next_rows: blockRows)
          kernels.panel_product(
            &block, panels, c + (first + row) * stride, stride, width, depth, accumulate ? 1 : 0, self.row)
        }
      }
    }
  }
}
