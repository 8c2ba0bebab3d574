import Basics
import Messaging
import Tensors
import XCTest

@testable import Parallelism

/// A transcription of the queue without ranks: arrays, loops, a full sort.
struct PlainQueue: Equatable {
  let capacity: Int, width: Int
  private(set) var vectors: [[Float]] = []
  private(set) var ids: [Int]
  private(set) var labels: [Int]
  /// When each slot was written, in images since the start; nil for never.
  private(set) var written: [Int?]
  private(set) var pointer = 0
  private(set) var enqueued = 0

  init(capacity: Int, width: Int, seed: UInt64) {
    self.capacity = capacity
    self.width = width
    ids = [Int](repeating: -1, count: capacity)
    labels = ids
    written = [Int?](repeating: nil, count: capacity)
    for slot in 0..<capacity {
      var stream = RandomStream(seed: seed, purpose: .queue, index: slot)
      let row = (0..<width).map { _ in stream.normal() }
      let norm = row.reduce(0) { $0 + $1 * $1 }.squareRoot()
      vectors.append(row.map { Float($0 / norm) })
    }
  }

  mutating func enqueue(_ rows: [[Float]], ids new: [Int], labels marks: [Int]) {
    for place in rows.indices {
      let slot = (pointer + place) % capacity
      (vectors[slot], ids[slot], labels[slot]) = (rows[place], new[place], marks[place])
      written[slot] = enqueued + place
    }
    pointer = (pointer + rows.count) % capacity
    enqueued += rows.count
  }

  func nearest(_ query: [Float], id: Int, k: Int) -> [(slot: Int, similarity: Float)] {
    let all = (0..<capacity).map { slot -> (slot: Int, similarity: Float) in
      let product = zip(query, vectors[slot]).reduce(Float(0)) { $0 + $1.0 * $1.1 }
      return (slot, ids[slot] == id ? -1 : product)
    }
    return Array(
      all.sorted { $0.similarity > $1.similarity || ($0.similarity == $1.similarity && $0.slot < $1.slot) }.prefix(k))
  }

  func age(_ slot: Int) -> Int { written[slot].map { enqueued - 1 - $0 } ?? capacity }
}

/// A row whose products with others of its kind are exact in any order of summation: eighths.
func exactRow(_ number: Int, _ width: Int) -> [Float] {
  (0..<width).map { Float((number * 7 + $0 * 5 + number * number % 11 + number * $0 % 3) % 9 - 4) / 8 }
}

/// What a rank brings to a batch that every rank can compute whole.
struct ExactBatch {
  let rows: [[Float]]
  let ids: [Int]
  let labels: [Int]

  init(step: Int, count: Int, width: Int) {
    rows = (0..<count).map { exactRow(step * count + $0, width) }
    ids = (0..<count).map { (step * count + $0) % 23 }
    labels = (0..<count).map { (step * count + $0) % 4 - 1 }
  }

  func enqueue(into queue: FeatureQueue, _ communicator: Communicator) throws {
    let own = blockRange(count: rows.count, part: communicator.rank, of: communicator.size)
    try queue.enqueue(
      Tensor(rows[own].flatMap { $0 }, [own.count, queue.width]), ids: Array(ids[own]),
      labels: labels[own].map { Int32($0) })
  }
}

/// A placement, and for `node` how many ranks are taken for a node.
struct TestedPlacement: CustomStringConvertible {
  let placement: QueuePlacement
  var ranksPerNode: Int?

  var description: String { "\(placement)\(ranksPerNode.map { " of \($0) ranks" } ?? "")" }

  static let all =
    [TestedPlacement(placement: .replicated), TestedPlacement(placement: .global)]
    + [nil, 1, 2, 3].map { TestedPlacement(placement: .node, ranksPerNode: $0) }

  func queue(
    capacity: Int, width: Int, batch: Int, queries: Int = 8, seed: UInt64 = 5, _ communicator: Communicator
  ) throws -> FeatureQueue {
    try FeatureQueue(
      capacity: capacity, width: width, placement: placement, globalBatch: batch, queriesPerRank: queries, seed: seed,
      communicator: communicator, ranksPerNode: ranksPerNode)
  }
}

/// Fails unless every slot of the queue is as in the plain one, on every rank.
func expectContents(
  _ queue: FeatureQueue, _ plain: PlainQueue, _ what: String, file: StaticString = #filePath, line: UInt = #line
) throws {
  let rows = try queue.rows((0..<queue.capacity).map { Int32($0) })
  XCTAssertEqual(rows.vectors.array, plain.vectors.flatMap { $0 }, what, file: file, line: line)
  XCTAssertEqual(rows.ids, plain.ids.map { Int64($0) }, what, file: file, line: line)
  XCTAssertEqual(rows.labels, plain.labels.map { Int32($0) }, what, file: file, line: line)
  XCTAssertEqual(queue.pointer, plain.pointer, what, file: file, line: line)
  XCTAssertEqual(queue.enqueued, plain.enqueued, what, file: file, line: line)
}
