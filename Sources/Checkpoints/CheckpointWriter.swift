import Basics
import Glibc
import Messaging
import Storage

/// How the tensors get into the file.
public enum CheckpointEngine: String, CaseIterable, Sendable {
  /// Every rank writes its share of the bytes at their place in the file, without HDF5.
  case direct
  /// Every rank writes its share by collective parallel HDF5. A disk that fills up *during* such a write can hang the
  /// job, since the failing rank leaves the library while the others wait in it; the space is therefore taken before.
  case mpiio
}

/// Writes checkpoints that are either whole or not there.
public enum CheckpointWriter {
  /// Writes `directory/step-NNNNNNNN.h5` through a `.partial` file, checks it, and moves it into its place.
  ///
  /// Checksums are taken from memory before a byte is written. `checkpoints/last.h5` beside the stage folder then
  /// points to the new file; it is a hint for people. Leftovers of saves that died are removed on the way.
  /// - Parameters:
  ///   - tensors: the same names, shapes and values on every rank, in the same order.
  ///   - directory: `.../checkpoints/<stage>`; made when missing. One run owns it.
  ///   - verify: read the file back from the disk and compare before it gets its name.
  /// - Returns: the path of the file.
  /// - Throws: on every rank alike: code 74 (disk full, quota, I/O), 73 or 77 (folder), 65 (what was read back
  ///   differs). The checkpoints that were there are untouched, and no partial file is left.
  /// - Collective: all ranks of `communicator`.
  public static func save(
    _ tensors: [NamedTensor], header: CheckpointHeader, directory: String, engine: CheckpointEngine = .direct,
    verify: Bool = true, communicator: Communicator
  ) throws(Failure) -> String {
    let path = "\(directory)/\(CheckpointFolder.name(step: header.step))"
    try CheckpointSave(path, tensors: tensors, header: header, communicator: communicator)
      .run(engine, verify: verify, isOfRun: true)
    return path
  }

  /// Writes one checkpoint that belongs to no run, checked, to a file of any name; one that is there is replaced.
  ///
  /// - Parameter tensors: the same names, shapes and values on every rank, in the same order.
  /// - Throws: as `save`.
  /// - Collective: all ranks of `communicator`.
  public static func write(
    _ tensors: [NamedTensor], header: CheckpointHeader, to path: String, communicator: Communicator
  ) throws(Failure) {
    try CheckpointSave(path, tensors: tensors, header: header, communicator: communicator)
      .run(.direct, verify: true, isOfRun: false)
  }
}

/// One save in progress.
private struct CheckpointSave {
  let path: String
  let partial: String
  let tensors: [NamedTensor]
  let header: CheckpointHeader
  let communicator: Communicator
  let chunks: [Chunk]
  /// The chunks this rank writes.
  let share: Range<Int>

  init(_ path: String, tensors: [NamedTensor], header: CheckpointHeader, communicator: Communicator) {
    self.path = path
    partial = path + CheckpointFolder.partialSuffix
    self.tensors = tensors
    self.header = header
    self.communicator = communicator
    chunks = ChunkTable.chunks(of: tensors.map(\.bytes))
    share = ChunkTable.share(lengths: chunks.map(\.bytes), rank: communicator.rank, of: communicator.size)
  }

  /// Writes the file, checks it and gives it its name; after a failure nothing of it is left. Collective.
  ///
  /// - Parameter isOfRun: whether its folder is a run's own, where old leftovers go and `last.h5` leads to it.
  func run(_ engine: CheckpointEngine, verify: Bool, isOfRun: Bool) throws(Failure) {
    do throws(Failure) {
      let layout = try prepare(isOfRun: isOfRun)
      let hashes = try write(layout, engine)
      try seal(layout, hashes)
      if verify { try CheckpointReader.verify(partial, communicator: communicator) }
      try communicator.agreed { () throws(Failure) in
        guard communicator.rank == 0 else { return }
        try CheckpointFolder.commit(partial, to: path)
        if isOfRun { CheckpointFolder.point(to: path) }
      }
    } catch {
      if communicator.rank == 0 { unlink(partial) }
      throw error
    }
  }

  /// Rank 0 makes folder and file and takes the disk space; all learn where the tensors lie. Collective.
  private func prepare(isOfRun: Bool) throws(Failure) -> CheckpointLayout {
    let directory = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    try H5File.startLibrary(on: communicator)
    let own = try communicator.agreed { () throws(Failure) -> CheckpointLayout? in
      guard communicator.rank == 0 else { return nil }
      try Directory.create(directory)
      if isOfRun { CheckpointFolder.removeLeftovers(directory) }
      let needed = tensors.reduce(1 << 20) { $0 + $1.bytes }
      if let free = Directory.freeBytes(directory), free < needed {
        throw Failure(
          .ioError, "a checkpoint needs \(needed >> 20) MiB and \(free >> 20) MiB are free", at: directory,
          hint: "free space, choose another --out, or lower checkpoint.keep_last")
      }
      return try CheckpointLayout.create(partial, tensors: tensors, header: header, rows: chunks.count)
    }
    return CheckpointLayout(bytes: try communicator.broadcast(own?.bytes ?? []))
  }

  /// Every rank hashes and writes its share. Collective.
  /// - Returns: the hashes of this rank's chunks.
  private func write(_ layout: CheckpointLayout, _ engine: CheckpointEngine) throws(Failure) -> [UInt64] {
    var hashes = chunks[share].map { chunk in
      let tensor = tensors[chunk.dataset]
      // Scattered rows are hashed when they have been collected.
      return tensor.scattered == nil ? ChunkTable.hash(UnsafeRawBufferPointer(tensor.memory(chunk.range))) : 0
    }
    switch engine {
    case .direct:
      let failure = try writeScattered(layout, &hashes)
      try communicator.agreed { () throws(Failure) in
        if let failure { throw failure }
        try writeDirect(layout)
      }
    case .mpiio: try writeCollective(&hashes)
    }
    return hashes
  }

  private func writeDirect(_ layout: CheckpointLayout) throws(Failure) {
    guard !share.isEmpty else { return }
    let file = try ByteFile.open(partial, writable: true)
    for chunk in chunks[share] where tensors[chunk.dataset].scattered == nil {
      let bytes = UnsafeRawBufferPointer(tensors[chunk.dataset].memory(chunk.range))
      try file.write(bytes, at: layout.tensors[chunk.dataset] + chunk.start)
    }
    try file.sync()
  }

  /// The calls that collect scattered rows, a chunk a rank, for each dataset.
  private var scatteredTurns: [[[Int: Range<Int>]]] {
    ChunkTable.turns(chunks, datasets: tensors.count, ranks: communicator.size, chunksPerCall: 1)
  }

  /// Brings each rank the chunk that it writes in this turn.
  /// - Collective: all ranks.
  private func collect(
    _ turn: [Int: Range<Int>], of dataset: Int, _ parts: ScatteredChunks, _ hashes: inout [UInt64]
  ) throws(Failure) -> UnsafeRawPointer {
    let part = try parts.collect(
      (0..<communicator.size).map { turn[$0] ?? 0..<0 }, rank: communicator.rank)
    if let own = turn[communicator.rank] {
      let place = chunks[share].firstIndex { $0.dataset == dataset && $0.start == own.lowerBound }
      if let place {
        hashes[place - share.lowerBound] = ChunkTable.hash(UnsafeRawBufferPointer(start: part, count: own.count))
      }
    }
    return part
  }

  /// - Returns: what went wrong on this rank: one whose write fails goes on, or the others would wait for its rows.
  /// - Collective: all ranks.
  private func writeScattered(_ layout: CheckpointLayout, _ hashes: inout [UInt64]) throws(Failure) -> Failure? {
    var failure: Failure?
    let turns = scatteredTurns
    for (dataset, tensor) in tensors.enumerated() {
      guard let rows = tensor.scattered else { continue }
      let parts = ScatteredChunks(rows)
      for turn in turns[dataset] {
        let part = try collect(turn, of: dataset, parts, &hashes)
        guard let own = turn[communicator.rank], failure == nil else { continue }
        do throws(Failure) {
          try ByteFile.open(partial, writable: true)
            .write(UnsafeRawBufferPointer(start: part, count: own.count), at: layout.tensors[dataset] + own.lowerBound)
        } catch { failure = error }
      }
    }
    return failure
  }

  private func writeCollective(_ hashes: inout [UInt64]) throws(Failure) {
    let file = try H5File.openParallel(partial, communicator: communicator)
    // A rank whose write fails goes on calling, or the others would wait for it in the library.
    var failure: Failure?
    let usual = ChunkTable.turns(chunks, datasets: tensors.count, ranks: communicator.size)
    let single = scatteredTurns
    func write(_ tensor: NamedTensor, _ range: Range<Int>, _ source: UnsafeRawPointer) {
      let elements = range.lowerBound / tensor.kind.bytes..<range.upperBound / tensor.kind.bytes
      do throws(Failure) {
        try file.write(
          tensor.name, tensor.kind, from: source, boxes: Hyperslab.covering(elements, of: tensor.shape))
      } catch { failure = failure ?? error }
    }
    for (index, tensor) in tensors.enumerated() {
      guard let rows = tensor.scattered else {
        for turn in usual[index] {
          let range = turn[communicator.rank] ?? 0..<0
          write(tensor, range, tensor.base + range.lowerBound)
        }
        continue
      }
      let parts = ScatteredChunks(rows)
      for turn in single[index] {
        do throws(Failure) {
          write(tensor, turn[communicator.rank] ?? 0..<0, try collect(turn, of: index, parts, &hashes))
        } catch { failure = failure ?? error }
      }
    }
    do throws(Failure) { try file.close() } catch { failure = failure ?? error }
    try communicator.agreed { () throws(Failure) in
      if let failure { throw failure }
      try ByteFile.open(partial, writable: true).sync()
    }
  }

  /// Rank 0 adds the chunk table and the seal: from here on the file can prove that it is whole. Collective.
  private func seal(_ layout: CheckpointLayout, _ hashes: [UInt64]) throws(Failure) {
    let parts = try communicator.gather(hashes.withUnsafeBytes { Array($0) }, to: 0)
    try communicator.agreed { () throws(Failure) in
      guard communicator.rank == 0 else { return }
      let all = Array(parts.joined()).withUnsafeBytes { Array($0.bindMemory(to: UInt64.self)) }
      let rows = zip(chunks, all).map { chunk, hash in
        ChunkRow(chunk: chunk, offset: layout.tensors[chunk.dataset] + chunk.start, hash: hash)
      }
      let table = rows.flatMap(\.numbers).withUnsafeBytes { Array($0) }
      let file = try ByteFile.open(partial, writable: true)
      try file.write(table, at: layout.table)
      let seal = Seal(
        length: layout.length, table: layout.table, rows: rows.count, tableHash: ChunkTable.hash(table),
        metadataHash: layout.metadataHash)
      try file.write(seal.encoded, at: 0)
      try file.sync()
    }
  }
}
