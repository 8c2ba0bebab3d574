import Basics
import Glibc
import Messaging

/// Rows of which each has one owner among the ranks, and their ways to a rank that wants some.
struct RowOwners {
  let communicator: Communicator
  let count: Int
  let rowBytes: Int
  /// The rank that has a row, and the row's place there.
  let owner: (Int) -> (rank: Int, index: Int)

  /// Gives every rank the rows it wants.
  /// - Parameters:
  ///   - base: this rank's rows.
  /// - Collective: all ranks, with the same `wanted`.
  func collect(
    _ wanted: [Range<Int>], from base: UnsafeRawPointer, into target: UnsafeMutableRawPointer
  ) throws(Failure) {
    let rank = communicator.rank
    var sends = [Int](repeating: 0, count: communicator.size)
    var indices: [Int] = []
    for (receiver, range) in wanted.enumerated() {
      for row in range {
        let (owner, index) = owner(row)
        guard owner == rank else { continue }
        sends[receiver] += rowBytes
        indices.append(index)
      }
    }
    let owners = wanted[rank].map { owner($0).rank }
    var receives = [Int](repeating: 0, count: communicator.size)
    for owner in owners { receives[owner] += rowBytes }
    let outgoing = UnsafeMutableRawPointer.allocate(byteCount: max(indices.count * rowBytes, 1), alignment: 64)
    let incoming = UnsafeMutableRawPointer.allocate(byteCount: max(owners.count * rowBytes, 1), alignment: 64)
    defer {
      outgoing.deallocate()
      incoming.deallocate()
    }
    for (place, index) in indices.enumerated() {
      (outgoing + place * rowBytes).copyMemory(from: base + index * rowBytes, byteCount: rowBytes)
    }
    try communicator.allToAll(outgoing, sendBytes: sends, into: incoming, receiveBytes: receives)
    // From each rank rows come in rising order.
    var next = receives.indices.map { receives[..<$0].reduce(0, +) }
    for (place, owner) in owners.enumerated() {
      (target + place * rowBytes).copyMemory(from: incoming + next[owner], byteCount: rowBytes)
      next[owner] += rowBytes
    }
  }

  /// Copied rows, to be collected only.
  func rows(_ element: ScatteredRows.Element, of copy: RowCopy) -> ScatteredRows {
    ScatteredRows(
      element, count: count, rowBytes: rowBytes, whole: nil,
      collect: { wanted, target throws(Failure) in try collect(wanted, from: copy.base, into: target) },
      beginLoading: { preconditionFailure("a copy of rows is not loaded") },
      store: { _, _ in preconditionFailure("a copy of rows is not loaded") }, endLoading: {},
      copied: { rows(element, of: copy) })
  }
}

/// A copy of some memory that lives as long as this object.
final class RowCopy {
  let base: UnsafeMutableRawPointer

  init(_ source: UnsafeRawPointer, bytes: Int) {
    base = .allocate(byteCount: max(bytes, 1), alignment: 64)
    base.copyMemory(from: source, byteCount: bytes)
  }

  deinit { base.deallocate() }
}
