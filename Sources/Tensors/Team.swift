import Basics
import CKernels

/// The thread team as the operations use it.
///
/// Only the main thread owns the team: on any other thread the work runs inline, so that the communication thread
/// may use kernels while the main thread computes. Subnormals are treated as zero on every thread that comes here.
package enum Team {
  /// The number of threads that `split` may number.
  package static var threads: Int { ThreadTeam.shared.threads }

  /// Splits 0 ..< count into contiguous near-equal ranges at multiples of `grain`, one a thread.
  package static func split(_ count: Int, grain: Int = 1, _ body: (_ thread: Int, _ range: Range<Int>) -> Void) {
    guard count > 0 else { return }
    ckernels_flush_subnormals()
    guard ckernels_on_main_thread() != 0 else { return body(0, 0..<count) }
    ThreadTeam.shared.split(count, grain: grain) { thread, range in
      ckernels_flush_subnormals()
      body(thread, range)
    }
  }

  /// Splits rows, letting every thread sum columns into a row of scratch of its own, and adds those rows to
  /// `totals` in thread order.
  ///
  /// - Shapes: totals [d] each; `body` gets one pointer to [d] for each of them.
  package static func splitSumming(
    _ rows: Int, into totals: [Tensor],
    _ body: (_ range: Range<Int>, _ sums: [UnsafeMutablePointer<Float>]) -> Void
  ) {
    let widths = totals.map { $0.count.roundedUp(to: 16) }
    let width = widths.reduce(0, +)
    let scratch = Tensor(zeros: [threads, max(width, 1)])
    split(rows) { thread, range in
      var place = scratch.pointer + thread * width
      var sums: [UnsafeMutablePointer<Float>] = []
      for width in widths {
        sums.append(place)
        place += width
      }
      body(range, sums)
    }
    for thread in 0..<threads {
      var place = scratch.pointer + thread * width
      for (total, width) in zip(totals, widths) {
        Kernels.table.pointee.add(total.pointer, place, total.count)
        place += width
      }
    }
  }
}
