import Basics
import Storage

/// The first 4 KiB of a checkpoint, in front of the HDF5 part: lines of text that cover every other byte of the file.
///
/// The seal says how long the file is, where the chunk table lies, and the hashes of the table and of the metadata.
/// Metadata is every byte that is neither seal nor table nor chunk, so a flipped bit anywhere is noticed, and the
/// file is known to be whole before the HDF5 library, which does not stand damaged metadata well, reads it.
/// The table lies at `table`; it holds `rows` rows. A file without a seal was never finished.
struct Seal: Equatable, Sendable {
  static let bytes = 4096

  let length: Int
  let table: Int
  let rows: Int
  let tableHash: UInt64
  let metadataHash: UInt64

  var tableRange: Range<Int> { table..<table + rows * ChunkRow.columns * MemoryLayout<Int64>.size }

  /// The block as it stands in the file.
  var encoded: [UInt8] {
    let body =
      "\(CheckpointHeader.format)\nlength \(length)\ntable \(table)\nrows \(rows)\n"
      + "table_xxh3 \(tableHash)\nmetadata_xxh3 \(metadataHash)\n"
    let text = Array((body + "seal_xxh3 \(ChunkTable.hash(Array(body.utf8)))\n").utf8)
    return text + [UInt8](repeating: 0, count: Seal.bytes - text.count)
  }

  init(length: Int, table: Int, rows: Int, tableHash: UInt64, metadataHash: UInt64) {
    self.length = length
    self.table = table
    self.rows = rows
    self.tableHash = tableHash
    self.metadataHash = metadataHash
  }

  /// Reads a block; nil when a single byte of it is not as it was written.
  init?(_ block: [UInt8]) {
    let lines = String(decoding: block.prefix { $0 != 0 }, as: UTF8.self).split(separator: "\n")
    guard lines.count == 7, lines[0] == CheckpointHeader.format else { return nil }
    let values = lines.dropFirst().map { $0.split(separator: " ").last ?? "" }
    guard let length = Int(values[0]), let table = Int(values[1]), let rows = Int(values[2]),
      let tableHash = UInt64(values[3]), let metadataHash = UInt64(values[4])
    else { return nil }
    self.init(length: length, table: table, rows: rows, tableHash: tableHash, metadataHash: metadataHash)
    guard encoded == block else { return nil }
  }
}

/// A checkpoint file whose seal and chunk table are known to be whole.
struct SealedFile: Sendable {
  let path: String
  let seal: Seal
  let rows: [ChunkRow]

  /// Reads seal and table and checks them, and the metadata too unless another rank does.
  /// - Throws: code 65 naming what is damaged, code 66 when there is no file.
  static func open(_ path: String, checkingMetadata: Bool = true) throws(Failure) -> SealedFile {
    let file = try ByteFile.open(path)
    file.forgetCached()
    let length = try file.length()
    guard length >= Seal.bytes else {
      throw Failure.damaged(path, "the file is truncated: it has \(length) bytes")
    }
    let block = try file.bytes(Seal.bytes, at: 0)
    guard let seal = Seal(block) else {
      let isNew = block.allSatisfy { $0 == 0 }
      let isForeign = !block.starts(with: CheckpointHeader.format.utf8)
      throw Failure.damaged(
        path,
        isNew
          ? "the file was never finished: it holds no checksums"
          : isForeign ? "no \(CheckpointHeader.format) file: it holds no checksums" : "the seal is damaged")
    }
    guard length == seal.length else {
      throw Failure.damaged(path, "the file has \(length) bytes and should have \(seal.length)")
    }
    let bytes = try file.bytes(seal.tableRange.count, at: seal.table)
    guard ChunkTable.hash(bytes) == seal.tableHash else {
      throw Failure.damaged(path, "the table of checksums is damaged", "integrity/chunks")
    }
    let numbers = bytes.withUnsafeBytes { Array($0.bindMemory(to: Int64.self)) }
    let rows = (0..<seal.rows).map { ChunkRow(numbers[$0 * ChunkRow.columns..<($0 + 1) * ChunkRow.columns]) }
    let sealed = SealedFile(path: path, seal: seal, rows: rows)
    if checkingMetadata { try sealed.checkMetadata(file) }
    return sealed
  }

  /// - Throws: code 65 when a byte outside of the chunks is not as it was written.
  func checkMetadata(_ file: borrowing ByteFile) throws(Failure) {
    let known = rows.map(\.range) + [seal.tableRange]
    guard try SealedFile.metadataHash(file, length: seal.length, except: known) == seal.metadataHash else {
      throw Failure.damaged(path, "the header or the list of datasets is damaged", "metadata")
    }
  }

  /// Reads some chunks and compares them with their hashes.
  /// - Throws: code 65 naming dataset and chunk.
  func check(_ share: Range<Int>) throws(Failure) {
    let file = try ByteFile.open(path)
    for row in rows[share] {
      let bytes = try file.bytes(row.chunk.bytes, at: row.offset)
      if ChunkTable.hash(bytes) != row.hash { throw damaged(row.chunk) }
    }
  }

  private func damaged(_ chunk: Chunk) -> Failure {
    let names = (try? checkedNames()) ?? []
    let isKnown = chunk.dataset < names.count
    return SealedFile.damaged(path, chunk, isKnown ? names[chunk.dataset] : "dataset \(chunk.dataset)")
  }

  /// The failure of a chunk of the tensor `name` that is not as it was written.
  static func damaged(_ path: String, _ chunk: Chunk, _ name: String) -> Failure {
    Failure.damaged(path, "the checksum of \(name), chunk \(chunk.index), does not match", name)
  }

  private func checkedNames() throws(Failure) -> [String] {
    try checkMetadata(try ByteFile.open(path))
    let file = try H5File.open(path)
    let names = Result { () throws(Failure) in try CheckpointIndex.names(file) }
    try file.close()
    return try names.get()
  }

  /// The hash of all bytes between the seal and `length` that lie in none of the `known` ranges.
  static func metadataHash(
    _ file: borrowing ByteFile, length: Int, except known: [Range<Int>]
  ) throws(Failure) -> UInt64 {
    var hashes: [UInt64] = []
    for piece in H5Skeleton.gaps(from: Seal.bytes, to: length, except: known) {
      hashes.append(ChunkTable.hash(try file.bytes(piece.count, at: piece.lowerBound)))
    }
    return hashes.withUnsafeBytes { ChunkTable.hash($0) }
  }
}

extension Failure {
  /// A checkpoint that is not as it was written.
  static func damaged(_ path: String, _ what: String, _ part: String? = nil) -> Failure {
    Failure(
      .badData, what, at: part.map { "\(path), \($0)" } ?? path,
      hint: "resume from another file of the folder; `--resume auto` takes the newest one that is whole")
  }
}
