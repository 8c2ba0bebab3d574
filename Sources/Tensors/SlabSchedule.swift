import Basics
import CKernels
import Synchronization

/// c = aᵀ b or c += aᵀ b of the native product, where the sum is long and c small: a weight's gradient.
///
/// Neither operand is worth packing as a whole. The threads share one list of work and take the next item when they
/// are free: pack a panel of the right operand's slab, or multiply some rows of c by a slab. In the list the panels of
/// the next slab stand in the middle of the work on this one, so that hardly anybody waits. The rows of the left
/// operand are packed with the first slab of their step; what a thread will probably pack next comes into its cache
/// while it multiplies.
/// - Shapes: a [k, m], b [k, n] as stored -> c [m, n]
final class SlabSchedule: @unchecked Sendable {
  private let a, b: PanelProduct.Operand
  private let c: UnsafeMutablePointer<Float>
  private let stride, m, threads: Int
  private let accumulate: Bool

  private let cut: PanelProduct.Cut
  private let panelColumns = Kernels.table.pointee.panel_columns
  private let chunkRows, chunks, panels: Int
  /// Two slabs in turn.
  private let slabs: Tensor
  /// Packed rows of a: all of them where a step has several slabs, otherwise one chunk a thread, which stays in its cache.
  private let blocks: Tensor

  private let arrived = Atomic<Int>(0), next = Atomic<Int>(0)
  /// Panels packed so far in slabs of even and of odd number.
  private let packedEven = Atomic<Int>(0), packedOdd = Atomic<Int>(0)
  /// For each chunk of rows, how many slabs it has been multiplied by.
  private let finished: UnsafeMutablePointer<Atomic<Int>>

  init(
    _ a: UnsafePointer<Float>, _ aStride: Int, _ b: UnsafePointer<Float>, _ bStride: Int,
    into c: UnsafeMutablePointer<Float>, stride: Int, m: Int, n: Int, k: Int, accumulate: Bool, threads: Int
  ) {
    self.a = .init(base: a, stride: aStride, isTransposed: true)
    self.b = .init(base: b, stride: bStride, isTransposed: false)
    (self.c, self.stride, self.m, self.accumulate, self.threads) = (c, stride, m, accumulate, threads)
    cut = PanelProduct.Cut(n: n, k: k, longest: 384)
    let blockRows = Kernels.table.pointee.panel_rows
    let share = m / (4 * threads * blockRows)  // at least four chunks a thread, if that leaves two blocks for each
    chunkRows = min(max(share, 2), PanelProduct.blocksTogether) * blockRows
    chunks = (m + chunkRows - 1) / chunkRows
    panels = cut.columns / panelColumns
    slabs = Tensor(uninitialized: [2, cut.columns * cut.inner])
    let packedRows = cut.columnBlocks > 1 ? m.roundedUp(to: blockRows) : threads * chunkRows
    blocks = Tensor(uninitialized: [packedRows * cut.inner])
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
      if item < panels {
        pack(item, of: 0)
        continue
      }
      let (slab, place) = (item - panels).quotientAndRemainder(dividingBy: chunks + panels)
      let middle = chunks / 2
      if slab >= slabCount { return }
      if place < middle {
        multiply(place, by: slab, thread)
      } else if place < middle + panels {
        pack(place - middle, of: slab + 1)
      } else {
        multiply(place - panels, by: slab, thread)
      }
    }
  }

  // Slabs in order: every block of columns of the first step, then of the next.

  private var slabCount: Int { cut.columnBlocks * cut.steps }
  private func columns(_ slab: Int) -> Range<Int> { cut.columns(ofBlock: slab % cut.columnBlocks) }
  private func inner(_ slab: Int) -> Range<Int> { cut.inner(ofStep: slab / cut.columnBlocks) }
  private func memory(_ slab: Int) -> UnsafeMutablePointer<Float> {
    slabs.pointer + slab % 2 * cut.columns * cut.inner
  }

  /// One panel, into the place of the slab before the last, which all rows must have been multiplied by.
  private func pack(_ panel: Int, of slab: Int) {
    guard slab < slabCount else { return }
    for chunk in 0..<chunks { wait { finished[chunk].load(ordering: .acquiring) >= slab - 1 } }
    let (block, inner) = (columns(slab), inner(slab))
    let first = block.lowerBound + panel * panelColumns
    if first < block.upperBound {
      PanelProduct.pack(
        b, columns: first..<min(first + panelColumns, block.upperBound), inner: inner,
        into: memory(slab) + panel * panelColumns * inner.count)
    }
    if slab % 2 == 0 {
      packedEven.wrappingAdd(1, ordering: .releasing)
    } else {
      packedOdd.wrappingAdd(1, ordering: .releasing)
    }
  }

  private func multiply(_ chunk: Int, by slab: Int, _ thread: Int) {
    let needed = (slab / 2 + 1) * panels
    wait { (slab % 2 == 0 ? packedEven.load(ordering: .acquiring) : packedOdd.load(ordering: .acquiring)) >= needed }
    wait { finished[chunk].load(ordering: .acquiring) == slab }
    let (columns, inner) = (columns(slab), inner(slab))
    let rows = rows(chunk)
    let packed = blocks.pointer + (cut.columnBlocks > 1 ? rows.lowerBound : thread * chunkRows) * cut.inner
    if columns.lowerBound == 0 {
      Kernels.table.pointee.pack_blocks(
        a.at(rows.lowerBound, inner.lowerBound), a.stride, packed, inner.count, rows.count)
    }
    let slabOfPanels = PanelProduct.Slab(
      panels: memory(slab), columns: columns, inner: inner, accumulate: accumulate || inner.lowerBound > 0, row: nil)
    var ahead = ahead(of: chunk, slab, turns: slabOfPanels.turns(rows: rows.count))
    slabOfPanels.multiply(
      blocks: packed, rows: rows.count, into: c + rows.lowerBound * stride, stride: stride, ahead: &ahead)
    finished[chunk].store(slab + 1, ordering: .releasing)
  }

  private func rows(_ chunk: Int) -> Range<Int> { chunk * chunkRows..<min((chunk + 1) * chunkRows, m) }

  /// The rows of a that this thread packs after these, if threads go on taking turns.
  private func ahead(of chunk: Int, _ slab: Int, turns: Int) -> Kernels.Ahead {
    let (slabsOn, next) = (chunk + threads).quotientAndRemainder(dividingBy: chunks)
    let following = slab + slabsOn
    guard following < slabCount, columns(following).lowerBound == 0 else { return .init(nothingAt: a.base) }
    let (inner, rows) = (inner(following), rows(next))
    return .init(
      .init(a.at(rows.lowerBound, inner.lowerBound), stride: a.stride), rows: inner.count, width: rows.count,
      turns: turns)
  }

  private func wait(until isReady: () -> Bool) {
    var spins = 0
    while !isReady() { waitBriefly(&spins) }
  }
}
