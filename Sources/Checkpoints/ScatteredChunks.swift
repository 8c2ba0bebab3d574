import Basics
import Glibc

/// Parts of scattered rows by bytes, as chunks are cut: a part may begin and end inside a row.
final class ScatteredChunks {
  private let rows: ScatteredRows
  private let memory: UnsafeMutableRawPointer
  /// Loading: the bytes of a row whose end has not come, and the rows that are complete.
  private var carried = 0
  private var complete = 0

  /// Room for parts of at most a chunk.
  init(_ rows: ScatteredRows) {
    self.rows = rows
    let bytes = Chunk.limit + 2 * rows.rowBytes
    memory = .allocate(byteCount: bytes, alignment: 64)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
  }

  deinit { memory.deallocate() }

  /// The rows that a part touches.
  private func touched(_ part: Range<Int>) -> Range<Int> {
    guard !part.isEmpty else { return 0..<0 }
    return part.lowerBound / rows.rowBytes..<(part.upperBound + rows.rowBytes - 1) / rows.rowBytes
  }

  /// Gives every rank the part that it wants; it stays until the next call.
  /// - Collective: all ranks, with the same `wanted`.
  func collect(_ wanted: [Range<Int>], rank: Int) throws(Failure) -> UnsafeRawPointer {
    let all = wanted.map(touched)
    try rows.collect(all, into: memory)
    let own = wanted[rank]
    return UnsafeRawPointer(memory) + (own.isEmpty ? 0 : own.lowerBound - all[rank].lowerBound * rows.rowBytes)
  }

  /// Where the next part of `bytes` bytes is to be put for `store`.
  func place(bytes: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: memory + carried, count: bytes)
  }

  /// Gives the rows that are complete with this part to their owners; parts come in their order.
  func store(bytes: Int) {
    let total = carried + bytes
    let count = total / rows.rowBytes
    rows.store(complete..<complete + count, from: memory)
    complete += count
    carried = total - count * rows.rowBytes
    memmove(memory, memory + count * rows.rowBytes, carried)
  }
}
