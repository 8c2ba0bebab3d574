import Basics
import Messaging
import Storage

/// Reads checkpoints, whole ones only.
public enum CheckpointReader {
  /// The header of a checkpoint.
  /// - Throws: code 66 when there is no file, code 65 when its metadata is damaged or the format is another one.
  /// - Collective: local.
  public static func header(_ path: String) throws(Failure) -> CheckpointHeader {
    try CheckpointIndex.read(path).header
  }

  /// The tensors of a checkpoint in the order they were saved in.
  /// - Throws: code 66 or 65.
  /// - Collective: local.
  public static func list(_ path: String) throws(Failure) -> [DatasetInfo] {
    try CheckpointIndex.read(path).datasets
  }

  /// Reads every byte of a checkpoint and compares it with the checksums; ranks share the work.
  /// - Throws: on every rank: code 65 naming file, dataset and chunk; 66 when there is no file.
  /// - Collective: all ranks of `communicator`; local without one.
  public static func verify(_ path: String, communicator: Communicator? = nil) throws(Failure) {
    guard let communicator else {
      let sealed = try SealedFile.open(path)
      return try sealed.check(sealed.rows.indices)
    }
    try communicator.agreed { () throws(Failure) in
      let sealed = try SealedFile.open(path, checkingMetadata: communicator.rank == 0)
      let lengths = sealed.rows.map(\.chunk.bytes)
      try sealed.check(ChunkTable.share(lengths: lengths, rank: communicator.rank, of: communicator.size))
    }
  }

  /// Fills tensors from a checkpoint that any number of ranks wrote. Each byte is read by one rank, checked against
  /// its checksum, and sent to the others.
  /// - Parameters:
  ///   - tensors: the same names, shapes and order on every rank; on return equal on all ranks.
  ///   - allowPartial: load what fits and report the rest.
  ///   - allowUnexpected: the file may hold further tensors.
  /// - Throws: on every rank: code 65 with the table of differences, or naming the damaged chunk; 66 when there is no
  ///   file. After damage found on the way the tensors hold a mixture: do not go on with them.
  /// - Collective: all ranks of `communicator`.
  public static func load(
    into tensors: [NamedTensor], from path: String, communicator: Communicator, allowPartial: Bool = false,
    allowUnexpected: Bool = false
  ) throws(Failure) -> LoadReport {
    let index = try CheckpointIndex.shared(path, communicator)
    let report = LoadReport(index, tensors)
    let isExact = report.missing.isEmpty && report.reshaped.isEmpty
    guard allowPartial || (isExact && (allowUnexpected || report.unexpected.isEmpty)) else {
      throw Failure(
        .badData, "the checkpoint does not fit the model:\n\(report.table.joined(separator: "\n"))", at: path,
        hint: "check `method` and `model` with `sslmpi inspect`; to start from a part of it use --init-from")
    }
    try LoadPlan(index, tensors.filter { report.matched.contains($0.name) }, communicator).run(path)
    return report
  }
}

/// Which rank reads which bytes into which tensor.
private struct LoadPlan {
  let rows: [ChunkRow]
  let owners: [Int]
  /// The tensor of each row.
  let targets: [NamedTensor]
  let communicator: Communicator

  init(_ index: CheckpointIndex, _ tensors: [NamedTensor], _ communicator: Communicator) {
    let byName = Dictionary(tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    let found = index.rows.compactMap { row in
      byName[index.datasets[row.chunk.dataset].name].map { (row: row, tensor: $0) }
    }
    rows = found.map(\.row)
    targets = found.map(\.tensor)
    owners = ChunkTable.owners(lengths: rows.map(\.chunk.bytes), ranks: communicator.size)
    self.communicator = communicator
  }

  /// Collective.
  func run(_ path: String) throws(Failure) {
    let whole = rows.indices.filter { targets[$0].scattered == nil }
    try communicator.agreed { () throws(Failure) in
      let file = try ByteFile.open(path)
      for place in whole where owners[place] == communicator.rank {
        try read(file, place, into: targets[place].memory(rows[place].chunk.range))
      }
    }
    try share(whole)
    try runScattered(path)
  }

  private func read(
    _ file: borrowing ByteFile, _ place: Int, into memory: UnsafeMutableRawBufferPointer
  ) throws(Failure) {
    try file.read(memory, at: rows[place].offset)
    guard ChunkTable.hash(UnsafeRawBufferPointer(memory)) == rows[place].hash else {
      throw SealedFile.damaged(file.path, rows[place].chunk, targets[place].name)
    }
  }

  /// Sends what one rank has read to all.
  private func share(_ places: [Int]) throws(Failure) {
    guard communicator.size > 1 else { return }
    // Neighbouring chunks of one tensor that one rank read travel together.
    var first = 0
    while first < places.count {
      let (owner, target) = (owners[places[first]], targets[places[first]])
      var end = first + 1
      while end < places.count, owners[places[end]] == owner, targets[places[end]].name == target.name { end += 1 }
      let memory = target.memory(
        rows[places[first]].chunk.range.lowerBound..<rows[places[end - 1]].chunk.range.upperBound)
      if let base = memory.baseAddress { try communicator.broadcast(base, bytes: memory.count, from: owner) }
      first = end
    }
  }

  /// Sends scattered rows chunk by chunk; each rank keeps what it holds.
  private func runScattered(_ path: String) throws(Failure) {
    let tensors = targets.indices.compactMap { place -> (Int, ScatteredRows)? in
      // The first chunk of each tensor.
      guard rows[place].chunk.index == 0 else { return nil }
      return targets[place].scattered.map { (place, $0) }
    }
    guard !tensors.isEmpty else { return }
    for (_, scattered) in tensors { try scattered.beginLoading() }
    var failure: Failure?
    for (first, scattered) in tensors {
      let chunks = ScatteredChunks(scattered)
      var place = first
      while place < rows.count, targets[place].name == targets[first].name {
        let memory = chunks.place(bytes: rows[place].chunk.bytes)
        if owners[place] == communicator.rank {
          // A rank that cannot read goes on sending, or the others would wait for it.
          do throws(Failure) { try read(try ByteFile.open(path), place, into: memory) } catch {
            failure = failure ?? error
          }
        }
        if let base = memory.baseAddress {
          try communicator.broadcast(base, bytes: memory.count, from: owners[place])
        }
        chunks.store(bytes: memory.count)
        place += 1
      }
    }
    for (_, scattered) in tensors { try scattered.endLoading() }
    try communicator.agree(failure)
  }
}
