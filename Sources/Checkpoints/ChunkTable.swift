import CXXHash

/// One piece of one dataset, at most 4 MiB: the unit that is written, hashed and checked by one rank.
struct Chunk: Equatable, Sendable {
  /// The dataset it belongs to, by its place in the list of datasets.
  let dataset: Int
  /// Its place in the dataset.
  let index: Int
  /// Its first byte in the dataset.
  let start: Int
  /// Its length.
  let bytes: Int

  static let limit = 4 << 20

  var range: Range<Int> { start..<start + bytes }
}

/// How the bytes of a list of datasets are cut into chunks and shared out.
enum ChunkTable {
  /// The chunks of datasets of these sizes, in order.
  static func chunks(of sizes: [Int]) -> [Chunk] {
    sizes.enumerated().flatMap { dataset, size in
      stride(from: 0, to: size, by: Chunk.limit).enumerated().map { index, start in
        Chunk(dataset: dataset, index: index, start: start, bytes: min(Chunk.limit, size - start))
      }
    }
  }

  /// The rank that works on each chunk: the one in whose block of the stream of all bytes it begins, so that shares
  /// differ by one chunk at most. Ranks never decrease along the list.
  static func owners(lengths: [Int], ranks: Int) -> [Int] {
    let total = max(lengths.reduce(0, +), 1)
    var position = 0
    return lengths.map { length in
      defer { position += length }
      return min(position * ranks / total, ranks - 1)
    }
  }

  /// The chunks that one rank works on.
  static func share(lengths: [Int], rank: Int, of ranks: Int) -> Range<Int> {
    let owners = owners(lengths: lengths, ranks: ranks)
    let lower = owners.firstIndex { $0 >= rank } ?? owners.count
    return lower..<(owners[lower...].firstIndex { $0 > rank } ?? owners.count)
  }

  /// XXH3-64.
  static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 { XXH3_64bits(bytes.baseAddress, bytes.count) }

  /// XXH3-64 of a byte array.
  static func hash(_ bytes: [UInt8]) -> UInt64 { bytes.withUnsafeBytes { hash($0) } }
}

/// A row of `/integrity/chunks`: a chunk, where it lies in the file, and the hash of its bytes as they were in memory.
struct ChunkRow: Equatable, Sendable {
  let chunk: Chunk
  let offset: Int
  let hash: UInt64

  static let columns = 5

  var range: Range<Int> { offset..<offset + chunk.bytes }

  var numbers: [Int64] {
    [Int64(chunk.dataset), Int64(chunk.index), Int64(offset), Int64(chunk.bytes), Int64(bitPattern: hash)]
  }

  init(chunk: Chunk, offset: Int, hash: UInt64) {
    self.chunk = chunk
    self.offset = offset
    self.hash = hash
  }

  init(_ numbers: ArraySlice<Int64>) {
    let n = numbers.startIndex
    let index = Int(numbers[n + 1])
    chunk = Chunk(
      dataset: Int(numbers[n]), index: index, start: index &* Chunk.limit, bytes: Int(numbers[n + 3]))
    offset = Int(numbers[n + 2])
    hash = UInt64(bitPattern: numbers[n + 4])
  }
}
