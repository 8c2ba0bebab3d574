extension ChunkTable {
  /// The collective calls that write datasets cut into `chunks`: for each dataset some calls, for each call the bytes
  /// of the dataset that each rank brings. A rank that a call does not name brings nothing, but calls too.
  ///
  /// A rank brings at most 256 MiB to a call: MPI-IO counts are 32 bits wide, and the library may hold a copy.
  static func turns(
    _ chunks: [Chunk], datasets: Int, ranks: Int, chunksPerCall: Int = 64
  ) -> [[[Int: Range<Int>]]] {
    var turns = [[[Int: Range<Int>]]](repeating: [], count: datasets)
    var calls: [Int: Int] = [:]
    for (chunk, owner) in zip(chunks, owners(lengths: chunks.map(\.bytes), ranks: ranks)) {
      if chunk.index == 0 { calls = [:] }
      let call = calls[owner, default: 0] / chunksPerCall
      calls[owner, default: 0] += 1
      if call == turns[chunk.dataset].count { turns[chunk.dataset].append([:]) }
      let lower = turns[chunk.dataset][call][owner]?.lowerBound ?? chunk.range.lowerBound
      turns[chunk.dataset][call][owner] = lower..<chunk.range.upperBound
    }
    return turns
  }
}
