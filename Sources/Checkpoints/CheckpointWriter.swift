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
    let save = CheckpointSave(
      partial: path + CheckpointFolder.partialSuffix, tensors: tensors, header: header, communicator: communicator)
    do throws(Failure) {
      let layout = try save.prepare(directory)
      let hashes = try save.write(layout, engine)
      try save.seal(layout, hashes)
      if verify { try CheckpointReader.verify(save.partial, communicator: communicator) }
      try communicator.agreed { () throws(Failure) in
        if communicator.rank == 0 { try CheckpointFolder.commit(save.partial, to: path) }
      }
    } catch {
      if communicator.rank == 0 { unlink(save.partial) }
      throw error
    }
    return path
  }
}

/// One save in progress.
private struct CheckpointSave {
  let partial: String
  let tensors: [NamedTensor]
  let header: CheckpointHeader
  let communicator: Communicator
  let chunks: [Chunk]
  /// The chunks this rank writes.
  let share: Range<Int>

  init(partial: String, tensors: [NamedTensor], header: CheckpointHeader, communicator: Communicator) {
    self.partial = partial
    self.tensors = tensors
    self.header = header
    self.communicator = communicator
    chunks = ChunkTable.chunks(of: tensors.map(\.bytes))
    share = ChunkTable.share(lengths: chunks.map(\.bytes), rank: communicator.rank, of: communicator.size)
  }

  /// Rank 0 makes folder and file and takes the disk space; all learn where the tensors lie. Collective.
  func prepare(_ directory: String) throws(Failure) -> CheckpointLayout {
    try H5File.startLibrary(on: communicator)
    let own = try communicator.agreed { () throws(Failure) -> CheckpointLayout? in
      guard communicator.rank == 0 else { return nil }
      try Directory.create(directory)
      CheckpointFolder.removeLeftovers(directory)
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
  func write(_ layout: CheckpointLayout, _ engine: CheckpointEngine) throws(Failure) -> [UInt64] {
    let hashes = chunks[share].map { ChunkTable.hash(UnsafeRawBufferPointer(tensors[$0.dataset].memory($0.range))) }
    switch engine {
    case .direct: try communicator.agreed { () throws(Failure) in try writeDirect(layout) }
    case .mpiio: try writeCollective()
    }
    return hashes
  }

  private func writeDirect(_ layout: CheckpointLayout) throws(Failure) {
    guard !share.isEmpty else { return }
    let file = try ByteFile.open(partial, writable: true)
    for chunk in chunks[share] {
      let bytes = UnsafeRawBufferPointer(tensors[chunk.dataset].memory(chunk.range))
      try file.write(bytes, at: layout.tensors[chunk.dataset] + chunk.start)
    }
    try file.sync()
  }

  private func writeCollective() throws(Failure) {
    let file = try H5File.openParallel(partial, communicator: communicator)
    // A rank whose write fails goes on calling, or the others would wait for it in the library.
    var failure: Failure?
    let turns = ChunkTable.turns(chunks, datasets: tensors.count, ranks: communicator.size)
    for (index, tensor) in tensors.enumerated() {
      for turn in turns[index] {
        let range = turn[communicator.rank] ?? 0..<0
        let elements = range.lowerBound / tensor.kind.bytes..<range.upperBound / tensor.kind.bytes
        do throws(Failure) {
          try file.write(
            tensor.name, tensor.kind, from: tensor.base + range.lowerBound,
            boxes: Hyperslab.covering(elements, of: tensor.shape))
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
  func seal(_ layout: CheckpointLayout, _ hashes: [UInt64]) throws(Failure) {
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
