import Basics
import CKernels

/// The thread team as the operations use it.
///
/// Only the main thread owns the team: on any other thread the work runs inline, so that the communication thread
/// may use kernels while the main thread computes. Subnormals are treated as zero on every thread that comes here.
///
/// Nothing here lets results depend on the number of threads: what a thread gets is chance, so every index has its own
/// result, and sums over indices run in fixed pieces.
package enum Team {
  /// Sums over rows run over this many pieces, whatever the number of threads.
  private static let pieces = 32

  /// Deals 0 ..< count in contiguous ranges at multiples of `grain` to whoever is free; see `ThreadTeam.deal`.
  package static func split(_ count: Int, grain: Int = 1, _ body: (_ range: Range<Int>) -> Void) {
    guard count > 0 else { return }
    ckernels_flush_subnormals()
    guard ckernels_on_main_thread() != 0 else { return body(0..<count) }
    ThreadTeam.shared.deal(count, grain: grain) { range in
      ckernels_flush_subnormals()
      body(range)
    }
  }

  /// One range for every thread, where the place of its ends shows in the result.
  package static func splitEvenly(_ count: Int, grain: Int = 1, _ body: (_ range: Range<Int>) -> Void) {
    guard count > 0 else { return }
    ckernels_flush_subnormals()
    guard ckernels_on_main_thread() != 0 else { return body(0..<count) }
    ThreadTeam.shared.split(count, grain: grain) { range in
      ckernels_flush_subnormals()
      body(range)
    }
  }

  /// Runs `body` once on every thread. The number of threads is that which `body` may expect.
  package static func run(_ body: () -> Void) {
    ckernels_flush_subnormals()
    guard threads > 1 else { return body() }
    ThreadTeam.shared.run { _ in
      ckernels_flush_subnormals()
      body()
    }
  }

  /// How many threads `run` and `split` reach from the calling thread.
  package static var threads: Int { ckernels_on_main_thread() != 0 ? ThreadTeam.shared.threads : 1 }

  /// Deals rows in pieces of at least `grain` that sum columns into a row of scratch of their own each, and adds those
  /// rows to `totals` in order.
  ///
  /// - Shapes: totals [d] each; `body` gets one pointer to [d] for each of them.
  package static func splitSumming(
    _ rows: Int, grain: Int = 1, into totals: [Tensor],
    _ body: (_ range: Range<Int>, _ sums: [UnsafeMutablePointer<Float>]) -> Void
  ) {
    splitSumming(rows, grain: grain, into: totals) { range, _, sums in body(range, sums) }
  }

  /// The same; `body` also gets where the rows end that this thread has taken, this piece and those after it. Results
  /// must not depend on it.
  package static func splitSumming(
    _ rows: Int, grain: Int = 1, into totals: [Tensor],
    _ body: (_ range: Range<Int>, _ end: Int, _ sums: [UnsafeMutablePointer<Float>]) -> Void
  ) {
    let widths = totals.map { $0.count.roundedUp(to: 16) }
    let width = max(widths.reduce(0, +), 1)
    let pieces = min((rows + grain - 1) / grain, pieces)
    let scratch = Tensor(uninitialized: [pieces, width])
    split(pieces) { range in
      let end = blockRange(count: rows, part: range.upperBound - 1, of: pieces).upperBound
      for piece in range {
        var place = scratch.pointer + piece * width
        place.update(repeating: 0, count: width)
        var sums: [UnsafeMutablePointer<Float>] = []
        for width in widths {
          sums.append(place)
          place += width
        }
        body(blockRange(count: rows, part: piece, of: pieces), end, sums)
      }
    }
    for piece in 0..<pieces {
      var place = scratch.pointer + piece * width
      for (total, width) in zip(totals, widths) {
        Kernels.table.pointee.add(total.pointer, place, total.count)
        place += width
      }
    }
  }
}
