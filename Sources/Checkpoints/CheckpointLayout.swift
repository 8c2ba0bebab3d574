import Basics
import Storage

/// Where everything lies in a checkpoint file that is being written.
struct CheckpointLayout: Sendable, Equatable {
  /// The first byte of each tensor in the file; 0 for one without elements.
  var tensors: [Int]
  /// The first byte of the chunk table.
  var table: Int

  /// The length of the file.
  var length: Int
  /// The hash of everything that is neither seal nor table nor tensor.
  var metadataHash: UInt64

  /// Makes the file: header, empty tensors, empty chunk table, all in their final places.
  ///
  /// One process does it without MPI-IO for both engines, which is why they write the same file.
  /// The disk space is taken at once, so that a full disk shows here, on one rank, and not in a collective write.
  /// - Throws: code 73, 74 or 77.
  /// - Collective: local.
  static func create(
    _ path: String, tensors: [NamedTensor], header: CheckpointHeader, rows: Int
  ) throws(Failure) -> CheckpointLayout {
    let table = DatasetInfo(name: CheckpointIndex.table, kind: .int64, shape: [rows, ChunkRow.columns], offset: nil)
    let datasets = tensors.map { DatasetInfo(name: $0.name, kind: $0.kind, shape: $0.shape, offset: nil) } + [table]
    let skeleton = try H5Skeleton.create(path, datasets, userBlock: Seal.bytes, alignment: 4096) {
      file throws(Failure) in
      for (name, value) in header.attributes { try file.setAttribute(name, value) }
      try file.setAttribute("columns", .string("dataset,chunk,offset,bytes,xxh3"), of: table.name)
      let names = JSON.array(tensors.map { .string($0.name) }).line
      try file.setAttribute("datasets", .string(names), of: CheckpointIndex.group)
    }
    let hashes = skeleton.metadata.map { ChunkTable.hash($0.bytes) }
    return CheckpointLayout(
      tensors: skeleton.offsets.dropLast(), table: skeleton.offsets.last ?? 0, length: skeleton.length,
      metadataHash: hashes.withUnsafeBytes { ChunkTable.hash($0) })
  }

  /// The layout as bytes, for the other ranks.
  var bytes: [UInt8] {
    (tensors + [table, length, Int(bitPattern: UInt(metadataHash))]).withUnsafeBytes { Array($0) }
  }

  init(tensors: [Int], table: Int, length: Int, metadataHash: UInt64) {
    self.tensors = tensors
    self.table = table
    self.length = length
    self.metadataHash = metadataHash
  }

  init(bytes: [UInt8]) {
    let numbers = bytes.withUnsafeBytes { Array($0.bindMemory(to: Int.self)) }
    let n = numbers.count
    self.init(
      tensors: Array(numbers.dropLast(3)), table: numbers[n - 3], length: numbers[n - 2],
      metadataHash: UInt64(UInt(bitPattern: numbers[n - 1])))
  }
}
