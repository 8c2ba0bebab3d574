import Basics
import CKernels
import Synchronization

/// c = aᵀ b or c += aᵀ b of the native product, where the sum is long and c small: a weight's gradient.
///
/// Neither operand is worth packing as a whole. The shorter one is packed slab by slab for all threads, the longer one
/// dealt to them in chunks of its columns. The threads share one list of work and take the next item when they are
/// free: pack a piece of a slab, or multiply a chunk by a slab. In the list the pieces of the next slab stand in the
/// middle of the work on this one, so that hardly anybody waits. A chunk is packed by its thread with the first slab
/// of a step; what this thread will probably pack next comes into its cache while it multiplies.
/// - Shapes: a [k, m], b [k, n] as stored -> c [m, n]
final class SlabSchedule: @unchecked Sendable {
  /// An operand [k, columns] as stored.
  private struct Side {
    let base: UnsafePointer<Float>
    let stride, columns: Int
    /// Packed into panels, the left one into blocks.
    let isRight: Bool

    var unit: Int { isRight ? Kernels.table.pointee.panel_columns : Kernels.table.pointee.panel_rows }

    func at(_ inner: Int, _ column: Int) -> UnsafePointer<Float> { base + inner * stride + column }

    /// Packs columns, which begin a panel or a block, along a part of the sum.
    func pack(_ columns: Range<Int>, _ inner: Range<Int>, into packed: UnsafeMutablePointer<Float>) {
      let pack = isRight ? Kernels.table.pointee.pack_panels : Kernels.table.pointee.pack_blocks
      pack(at(inner.lowerBound, columns.lowerBound), stride, packed, inner.count, columns.count)
    }
  }

  /// Columns of a slab that are packed together: whole panels and blocks of every instruction set, and lines of memory.
  private static let pieceColumns = 48
  /// The most columns of a chunk: what is packed and what is fetched then fit into the L2 cache beside a slab.
  private static let mostChunkColumns = 96

  private let shared, dealt: Side
  private let c: UnsafeMutablePointer<Float>
  private let stride, threads: Int
  private let accumulate: Bool

  private let cut: PanelProduct.Cut
  private let chunkColumns, chunks, pieces: Int
  /// Two slabs in turn.
  private let slabs: Tensor
  /// Packed chunks: all of them where a step has several slabs, otherwise one a thread, which stays in its cache.
  private let packedChunks: Tensor

  private let arrived = Atomic<Int>(0), next = Atomic<Int>(0)
  /// Pieces packed so far in slabs of even and of odd number.
  private let packedEven = Atomic<Int>(0), packedOdd = Atomic<Int>(0)
  /// For each chunk, how many slabs it has been multiplied by.
  private let finished: UnsafeMutablePointer<Atomic<Int>>

  init(
    _ a: UnsafePointer<Float>, _ aStride: Int, _ b: UnsafePointer<Float>, _ bStride: Int,
    into c: UnsafeMutablePointer<Float>, stride: Int, m: Int, n: Int, k: Int, accumulate: Bool, threads: Int,
    slabFloats: Int = PanelProduct.slabFloats
  ) {
    let left = Side(base: a, stride: aStride, columns: m, isRight: false)
    let right = Side(base: b, stride: bStride, columns: n, isRight: true)
    (shared, dealt) = m < n ? (left, right) : (right, left)
    (self.c, self.stride, self.accumulate, self.threads) = (c, stride, accumulate, threads)
    cut = PanelProduct.Cut(n: shared.columns, k: k, longest: 384, unit: shared.unit, slabFloats: slabFloats)
    pieces = (cut.columns + Self.pieceColumns - 1) / Self.pieceColumns
    // At least four chunks a thread, if that leaves them a vector.
    let share = min(max(dealt.columns / (4 * threads), 16), Self.mostChunkColumns)
    chunkColumns = max(1, share / dealt.unit) * dealt.unit
    chunks = (dealt.columns + chunkColumns - 1) / chunkColumns
    slabs = Tensor(uninitialized: [2, cut.columns * cut.inner])
    packedChunks = Tensor(uninitialized: [(cut.columnBlocks > 1 ? chunks : threads) * chunkColumns * cut.inner])
    finished = .allocate(capacity: chunks)
    for chunk in 0..<chunks { (finished + chunk).initialize(to: Atomic(0)) }
  }

  deinit {
    finished.deinitialize(count: chunks)
    finished.deallocate()
  }

  /// Works until nothing is left to take. Every thread that takes part calls this, once; one alone does everything.
  func work() {
    let thread = arrived.wrappingAdd(1, ordering: .relaxed).oldValue
    precondition(thread < threads, "SlabSchedule: more than \(threads) threads")
    while true {
      let item = next.wrappingAdd(1, ordering: .relaxed).oldValue
      if item < pieces {
        pack(item, of: 0)
        continue
      }
      let (slab, place) = (item - pieces).quotientAndRemainder(dividingBy: chunks + pieces)
      let middle = chunks / 2
      if slab >= slabCount { return }
      if place < middle {
        multiply(place, by: slab, thread)
      } else if place < middle + pieces {
        pack(place - middle, of: slab + 1)
      } else {
        multiply(place - pieces, by: slab, thread)
      }
    }
  }

  // Slabs in order: every block of columns of the first step, then of the next.

  private var slabCount: Int { cut.columnBlocks * cut.steps }
  private func columns(_ slab: Int) -> Range<Int> { cut.columns(ofBlock: slab % cut.columnBlocks) }
  private func inner(_ slab: Int) -> Range<Int> { cut.inner(ofStep: slab / cut.columnBlocks) }
  private func isFirst(_ slab: Int) -> Bool { slab % cut.columnBlocks == 0 }
  private func memory(_ slab: Int) -> UnsafeMutablePointer<Float> {
    slabs.pointer + slab % 2 * cut.columns * cut.inner
  }
  private func columns(ofChunk chunk: Int) -> Range<Int> {
    chunk * chunkColumns..<min((chunk + 1) * chunkColumns, dealt.columns)
  }

  /// One piece, into the place of the slab before the last, which all chunks must have been multiplied by.
  private func pack(_ piece: Int, of slab: Int) {
    guard slab < slabCount else { return }
    for chunk in 0..<chunks { wait { finished[chunk].load(ordering: .acquiring) >= slab - 1 } }
    let (block, inner) = (columns(slab), inner(slab))
    let first = block.lowerBound + piece * Self.pieceColumns
    if first < block.upperBound {
      shared.pack(
        first..<min(first + Self.pieceColumns, block.upperBound), inner,
        into: memory(slab) + piece * Self.pieceColumns * inner.count)
    }
    if slab % 2 == 0 {
      packedEven.wrappingAdd(1, ordering: .releasing)
    } else {
      packedOdd.wrappingAdd(1, ordering: .releasing)
    }
  }

  private func multiply(_ chunk: Int, by slab: Int, _ thread: Int) {
    let needed = (slab / 2 + 1) * pieces
    wait { (slab % 2 == 0 ? packedEven.load(ordering: .acquiring) : packedOdd.load(ordering: .acquiring)) >= needed }
    wait { finished[chunk].load(ordering: .acquiring) == slab }
    let (own, inner) = (columns(ofChunk: chunk), inner(slab))
    let packed = packedChunks.pointer + (cut.columnBlocks > 1 ? chunk : thread) * chunkColumns * cut.inner
    if isFirst(slab) { dealt.pack(own, inner, into: packed) }
    let (rows, columns) = dealt.isRight ? (columns(slab), own) : (own, columns(slab))
    let (blocks, panels) = dealt.isRight ? (memory(slab), packed) : (packed, memory(slab))
    let product = PanelProduct.Slab(
      panels: panels, columns: columns, inner: inner, accumulate: accumulate || inner.lowerBound > 0, row: nil)
    var ahead = ahead(of: chunk, slab, turns: product.turns(rows: rows.count))
    product.multiply(
      blocks: blocks, rows: rows.count, into: c + rows.lowerBound * stride, stride: stride, ahead: &ahead)
    finished[chunk].store(slab + 1, ordering: .releasing)
  }

  /// What this thread packs after a chunk, if threads go on taking turns.
  private func ahead(of chunk: Int, _ slab: Int, turns: Int) -> Kernels.Ahead {
    let (slabsOn, next) = (chunk + threads).quotientAndRemainder(dividingBy: chunks)
    let following = slab + slabsOn
    guard following < slabCount, isFirst(following) else { return .init(nothingAt: dealt.base) }
    let (inner, own) = (inner(following), columns(ofChunk: next))
    return .init(
      .init(dealt.at(inner.lowerBound, own.lowerBound), stride: dealt.stride), rows: inner.count, width: own.count,
      turns: turns)
  }

  private func wait(until isReady: () -> Bool) {
    var spins = 0
    while !isReady() { waitBriefly(&spins) }
  }
}
