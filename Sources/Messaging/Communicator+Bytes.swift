import Basics

extension Communicator {
  /// Copies `bytes` bytes at `p` from one rank to all.
  /// - Collective: all ranks, with the same length and root.
  public func broadcast(_ p: UnsafeMutableRawPointer, bytes: Int, from root: Int = 0) throws(Failure) {
    precondition((0..<size).contains(root) && bytes >= 0, "broadcast of \(bytes) bytes from rank \(root) of \(size)")
    guard size > 1, bytes > 0 else { return }
    try submit(.broadcast(p, bytes: bytes, root: root)).wait()
  }

  /// One rank's bytes, on all ranks; what the others pass is ignored and may have any length.
  /// - Collective: all ranks, with the same root.
  public func broadcast(_ bytes: [UInt8], from root: Int = 0) throws(Failure) -> [UInt8] {
    guard size > 1 else { return bytes }
    let length = UnsafeMutablePointer<Int>.allocate(capacity: 1)
    defer { length.deallocate() }
    length.pointee = bytes.count
    try broadcast(length, bytes: MemoryLayout<Int>.size, from: root)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: length.pointee, alignment: 16)
    defer { buffer.deallocate() }
    if rank == root { buffer.copyBytes(from: bytes) }
    guard let base = buffer.baseAddress else { return [] }
    try broadcast(base, bytes: buffer.count, from: root)
    return Array(buffer)
  }

  /// One rank's text, on all ranks.
  /// - Collective: all ranks, with the same root.
  public func broadcast(_ text: String, from root: Int = 0) throws(Failure) -> String {
    String(decoding: try broadcast(Array(text.utf8), from: root), as: UTF8.self)
  }

  /// The byte strings of all ranks, in rank order, on the root; an empty array on the others. Lengths may differ.
  /// - Collective: all ranks, with the same root.
  public func gather(_ bytes: [UInt8], to root: Int = 0) throws(Failure) -> [[UInt8]] {
    precondition((0..<size).contains(root), "gather to rank \(root) of \(size)")
    return try gathered(bytes, root: root)
  }

  /// The byte strings of all ranks, in rank order, on every rank. Lengths may differ.
  /// - Collective: all ranks.
  public func allGather(_ bytes: [UInt8]) throws(Failure) -> [[UInt8]] {
    try gathered(bytes, root: nil)
  }

  /// The blocks of all ranks, one after the other in rank order, on every rank.
  /// - Parameters:
  ///   - source: this rank's block, `bytes[rank]` long, outside of `target`.
  ///   - bytes: the length of each rank's block.
  ///   - target: room for all blocks.
  ///   - traffic: counts what is sent and received.
  /// - Collective: all ranks, with the same `bytes`.
  public func allGather(
    _ source: UnsafeRawPointer, bytes: [Int], into target: UnsafeMutableRawPointer, counting traffic: Traffic? = nil
  ) throws(Failure) {
    precondition(bytes.count == size, "allGather: \(bytes.count) lengths for \(size) ranks")
    guard size > 1 else { return target.copyMemory(from: source, byteCount: bytes[0]) }
    guard bytes.contains(where: { $0 > 0 }) else { return }
    try submit(.allGather(source, bytes: bytes, target, traffic)).wait()
  }

  /// Returns when all ranks have called it.
  /// - Collective: all ranks.
  public func barrier() throws(Failure) {
    guard size > 1 else { return }
    try submit(.barrier).wait()
  }

  private func gathered(_ bytes: [UInt8], root: Int?) throws(Failure) -> [[UInt8]] {
    guard size > 1 else { return [bytes] }
    let result = GatherResult()
    try submit(.gather(bytes, root: root, result)).wait()
    return result.parts
  }
}
