import Basics
import Tensors

/// Vectors, ids and labels of some rows of a queue, wherever they stand in memory.
///
/// - Shapes: vectors [rows, width], ids [rows], labels [rows]
struct QueueArrays {
  let vectors: UnsafeMutablePointer<Float>
  let ids: UnsafeMutablePointer<Int64>
  let labels: UnsafeMutablePointer<Int64>
  let width: Int

  /// The bytes of `rows` rows.
  static func bytes(rows: Int, width: Int) -> Int { numberBytes(rows) + rows * width * MemoryLayout<Float>.size }

  /// Ids and labels, and what is missing to whole cache lines.
  private static func numberBytes(_ rows: Int) -> Int { (rows * 16 + 63) / 64 * 64 }

  /// Arrays one after the other in memory of `bytes(rows:width:)`, which begins a cache line.
  init(_ memory: UnsafeMutableRawPointer, rows: Int, width: Int) {
    ids = memory.assumingMemoryBound(to: Int64.self)
    labels = ids + rows
    vectors = (memory + Self.numberBytes(rows)).assumingMemoryBound(to: Float.self)
    self.width = width
  }

  /// A unit vector that depends on seed and slot alone, of no image.
  func writeRandom(_ index: Int, slot: Int, seed: UInt64) {
    var stream = RandomStream(seed: seed, purpose: .queue, index: slot)
    let row = vectors + index * width
    withUnsafeTemporaryAllocation(of: Double.self, capacity: width) { values in
      var squares = 0.0
      for place in 0..<width {
        let value = stream.normal()
        values.initializeElement(at: place, to: value)
        squares += value * value
      }
      let norm = max(squares.squareRoot(), 1e-12)
      for place in 0..<width { row[place] = Float(values[place] / norm) }
    }
    ids[index] = -1
    labels[index] = -1
  }

  /// - Shapes: vector [width]
  func write(_ index: Int, _ vector: UnsafePointer<Float>, id: Int64, label: Int32) {
    (vectors + index * width).update(from: vector, count: width)
    ids[index] = id
    labels[index] = Int64(label)
  }

  /// A row that came in a message.
  func write(_ index: Int, record: UnsafeRawPointer) {
    let bytes = width * MemoryLayout<Float>.size
    UnsafeMutableRawPointer(vectors + index * width).copyMemory(from: record, byteCount: bytes)
    ids[index] = record.loadUnaligned(fromByteOffset: bytes, as: Int64.self)
    labels[index] = Int64(record.loadUnaligned(fromByteOffset: bytes + 8, as: Int32.self))
  }

  /// A row for a message.
  func read(_ index: Int, into record: UnsafeMutableRawPointer) {
    QueueRecord.write(
      vectors + index * width, width, id: ids[index], label: Int32(truncatingIfNeeded: labels[index]), to: record)
  }
}

/// A row as it travels: vector, id, label, without gaps.
enum QueueRecord {
  static func bytes(width: Int) -> Int { width * MemoryLayout<Float>.size + 12 }

  static func write(
    _ vector: UnsafePointer<Float>, _ width: Int, id: Int64, label: Int32, to record: UnsafeMutableRawPointer
  ) {
    let bytes = width * MemoryLayout<Float>.size
    record.copyMemory(from: vector, byteCount: bytes)
    (record + bytes).storeBytes(of: id, as: Int64.self)
    (record + bytes + 8).storeBytes(of: label, as: Int32.self)
  }
}

/// Rows of the queue: vectors, and what is known about the images they come from.
public struct QueueRows {
  /// - Shapes: [m, d]
  public let vectors: Tensor
  /// The numbers of the images; -1 in rows that were never written.
  public let ids: [Int64]
  /// The labels of the images; -1 for none.
  public let labels: [Int32]

  /// Rows that somebody writes down one by one.
  init(count: Int, width: Int, _ write: (_ row: Int, _ rows: QueueArrays) -> Void) {
    let vectors = Tensor(uninitialized: [count, width])
    var ids = [Int64](repeating: -1, count: count)
    var labels = ids
    ids.withUnsafeMutableBufferPointer { ids in
      labels.withUnsafeMutableBufferPointer { labels in
        guard let ids = ids.baseAddress, let labels = labels.baseAddress else { return }
        let arrays = QueueArrays(vectors: vectors.pointer, ids: ids, labels: labels, width: width)
        for row in 0..<count { write(row, arrays) }
      }
    }
    self.vectors = vectors
    self.ids = ids
    self.labels = labels.map { Int32(truncatingIfNeeded: $0) }
  }
}

extension QueueArrays {
  init(
    vectors: UnsafeMutablePointer<Float>, ids: UnsafeMutablePointer<Int64>, labels: UnsafeMutablePointer<Int64>,
    width: Int
  ) {
    self.vectors = vectors
    self.ids = ids
    self.labels = labels
    self.width = width
  }

  /// Copies a row of other arrays of the same width.
  func write(_ index: Int, row: Int, of other: QueueArrays) {
    (vectors + index * width).update(from: other.vectors + row * width, count: width)
    ids[index] = other.ids[row]
    labels[index] = other.labels[row]
  }
}
