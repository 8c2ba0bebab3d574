import Basics
import Layers
import Messaging
import Tensors

/// A whole copy of the queue on every rank.
final class ReplicatedQueue {
  private let sizes: QueueSizes
  let vectors: Tensor
  let ids, labels: IntegerBlock
  private let arrays: QueueArrays

  /// The same rows on every rank. Local.
  init(_ sizes: QueueSizes) {
    self.sizes = sizes
    let capacity = sizes.capacity
    vectors = Tensor(
      storage: .unpooled(capacity * sizes.width), offset: 0, shape: [capacity, sizes.width])
    ids = IntegerBlock(repeating: -1, count: capacity)
    labels = IntegerBlock(repeating: -1, count: capacity)
    let arrays = QueueArrays(vectors: vectors.pointer, ids: ids.base, labels: labels.base, width: sizes.width)
    self.arrays = arrays
    Team.split(capacity) { range in
      for slot in range { arrays.writeRandom(slot, slot: slot, seed: sizes.seed) }
    }
  }

  var bytes: Int { sizes.capacity * (sizes.width * MemoryLayout<Float>.size + 16) }

  func nearest(_ queries: Tensor, _ ids: [Int64], _ k: Int, into best: UnsafeMutablePointer<RowMatch>) {
    guard !ids.isEmpty else { return }
    let all = RowSearch.Segment(rows: arrays.vectors, ids: arrays.ids, count: sizes.capacity)
    RowSearch(queries, ids: ids, k: k).run(over: [all], into: best)
  }

  func rows(_ slots: [Int32]) -> QueueRows {
    QueueRows(count: slots.count, width: sizes.width) { row, rows in rows.write(row, row: Int(slots[row]), of: arrays) }
  }

  /// All ranks' blocks to every rank.
  /// - Collective: all ranks.
  func enqueue(_ batch: QueueBatch) throws(Failure) {
    let communicator = sizes.communicator
    let recordBytes = QueueRecord.bytes(width: sizes.width)
    let own = UnsafeMutableRawPointer.allocate(byteCount: max(sizes.block.count * recordBytes, 1), alignment: 64)
    let all = UnsafeMutableRawPointer.allocate(byteCount: sizes.globalBatch * recordBytes, alignment: 64)
    defer {
      own.deallocate()
      all.deallocate()
    }
    batch.forEach { row, vector, id, label in
      QueueRecord.write(vector, sizes.width, id: id, label: label, to: own + row * recordBytes)
    }
    let bytes = (0..<communicator.size).map {
      blockRange(count: sizes.globalBatch, part: $0, of: communicator.size).count * recordBytes
    }
    try communicator.allGather(own, bytes: bytes, into: all, counting: sizes.traffic)
    for place in sizes.firstWritten..<sizes.globalBatch {
      arrays.write(sizes.slot(ofPlace: place), record: all + place * recordBytes)
    }
  }
}
