import Basics
import Messaging
import Tensors

extension Communicator {
  /// The rows of all ranks, one after the other in rank order, on every rank: several arrays in one message.
  ///
  /// With one rank they are `own` themselves.
  /// - Shapes: own T times [n, d] -> T times [B, d]
  /// - Parameters:
  ///   - counts: the rows of each rank, 0 allowed; this rank's are those of every array of `own`.
  /// - Throws: what the MPI library reported.
  /// - Collective: all ranks, with the same `counts`, T and d.
  /// - Gradient: none; see `nnclrLoss` for the cheap way to have one.
  public func gatherRows(_ own: [Tensor], counts: [Int]) throws(Failure) -> [Tensor] {
    let width = own.first?.shape.lastAxis ?? 0
    precondition(
      counts.count == size && own.allSatisfy { $0.shape == [counts[rank], width] },
      "gatherRows: \(own.map { $0.shape.description }) on rank \(rank) of \(counts)")
    guard size > 1, !own.isEmpty else { return own }
    // A rank's block is its arrays one after the other.
    let packed = Tensor(uninitialized: [own.count * counts[rank], width])
    for (part, array) in own.enumerated() {
      (packed.pointer + part * array.count).update(from: array.pointer, count: array.count)
    }
    let rows = counts.reduce(0, +)
    let blocks = Tensor(uninitialized: [own.count * rows, width])
    let bytes = counts.map { own.count * $0 * width * MemoryLayout<Float>.size }
    try OpClock.measure(.communication) {
      Result { () throws(Failure) in try allGather(packed.pointer, bytes: bytes, into: blocks.pointer) }
    }.get()
    let all = own.map { _ in Tensor(uninitialized: [rows, width]) }
    var first = 0
    for count in counts {
      for (part, array) in all.enumerated() {
        (array.pointer + first * width).update(
          from: blocks.pointer + (own.count * first + part * count) * width, count: count * width)
      }
      first += count
    }
    return all
  }
}
