import Basics
import Layers
import Messaging
import Tensors

/// Where the rows of a queue are kept. The same rows are found in all three, bit for bit.
public enum QueuePlacement: String, CaseIterable, Sendable {
  /// One copy for each node, in memory that its ranks share; each of them searches a part of it for all.
  case node
  /// One copy for all: each rank keeps the samples it brought.
  case global
  /// A whole copy on every rank. What the others are compared with.
  case replicated
}

/// What a lookup found.
public struct QueueMatches: Equatable, Sendable {
  /// How many a query has.
  public let k: Int
  /// The slots of each query in the order of their similarity, of equal ones the lower slot first.
  /// - Shapes: [m, k]
  public let slots: [Int32]
  /// The scalar products of query and slot.
  /// - Shapes: [m, k]
  public let similarities: [Float]
}

/// A ring of the last unit vectors that all ranks brought, in the order of the global batches, in which every rank
/// finds the nearest ones.
///
/// Slots do not depend on the number of ranks or on the placement, and neither do matches: each similarity is the same
/// chain of sums wherever it is computed.
/// - Source: `spec/mae-ct.md` 3.1, 3.2 and 9; `systems.md` 5.5.
public final class FeatureQueue {
  private enum Store {
    case replicated(ReplicatedQueue)
    case node(NodeQueue)
    case global(GlobalQueue)
  }

  /// How many rows the queue has.
  public var capacity: Int { sizes.capacity }
  /// How many numbers a row has.
  public var width: Int { sizes.width }
  /// Where the rows are kept.
  public let placement: QueuePlacement
  /// What the calls of this queue have moved between ranks: rows, ids, labels, candidates and their counts.
  public var traffic: Traffic { sizes.traffic }

  private let sizes: QueueSizes
  private let store: Store

  /// A queue of random unit vectors, of no image and no label, the same for all placements and numbers of ranks.
  /// - Parameters:
  ///   - capacity: rows, at least 1.
  ///   - globalBatch: samples of one `enqueue` over all ranks.
  ///   - queriesPerRank: the most queries that a rank brings to one lookup; two views of its block without it. The
  ///     same on all ranks.
  /// - Throws: `.unavailable` when a node has no room for its copy.
  /// - Collective: all ranks of `communicator`.
  public convenience init(
    capacity: Int, width: Int, placement: QueuePlacement, globalBatch: Int, queriesPerRank: Int? = nil, seed: UInt64,
    communicator: Communicator
  ) throws(Failure) {
    try self.init(
      capacity: capacity, width: width, placement: placement, globalBatch: globalBatch,
      queriesPerRank: queriesPerRank, seed: seed, communicator: communicator, ranksPerNode: nil)
  }

  /// The same with nodes pretended by cutting each into parts of `ranksPerNode` ranks.
  package init(
    capacity: Int, width: Int, placement: QueuePlacement, globalBatch: Int, queriesPerRank: Int? = nil, seed: UInt64,
    communicator: Communicator, ranksPerNode: Int?
  ) throws(Failure) {
    precondition(
      capacity > 0 && capacity <= Int(Int32.max) && width > 0 && globalBatch > 0 && queriesPerRank ?? 0 >= 0,
      "FeatureQueue: \(capacity) rows of \(width), batch \(globalBatch), \(queriesPerRank ?? 0) queries a rank")
    let largestBlock = blockRange(count: globalBatch, part: 0, of: communicator.size).count
    sizes = QueueSizes(
      capacity: capacity, width: width, globalBatch: globalBatch, queriesPerRank: queriesPerRank ?? 2 * largestBlock,
      seed: seed, communicator: communicator)
    self.placement = placement
    switch placement {
    case .replicated: store = .replicated(ReplicatedQueue(sizes))
    case .node: store = .node(try NodeQueue(sizes, group: try communicator.nodeGroup(ranksPerNode: ranksPerNode)))
    case .global: store = .global(GlobalQueue(sizes))
    }
  }

  /// The slot that the next batch begins at.
  public var pointer: Int { sizes.pointer }
  /// How many slots were written since the start.
  public var enqueued: Int { sizes.enqueued }

  /// The `k` slots that are nearest to each query of this rank.
  ///
  /// A slot with the query's own id counts as having similarity -1; a similarity that is no number counts as minus
  /// infinity.
  /// - Shapes: queries [m, width], unit rows; ids [m]; m may differ between ranks, and be 0.
  /// - Parameters:
  ///   - ids: the number of the image that each query comes from; a negative one is in no slot.
  ///   - k: in 1...capacity, the same on all ranks.
  /// - Throws: what the MPI library reported; `.unavailable` when k is larger than before and a node has no room.
  /// - Collective: all ranks.
  public func nearest(_ queries: Tensor, ids: [Int], k: Int) throws(Failure) -> QueueMatches {
    precondition(
      queries.shape.rank == 2 && queries.shape[1] == width && queries.shape[0] == ids.count,
      "FeatureQueue.nearest: queries \(queries.shape) and \(ids.count) ids for width \(width)")
    precondition((1...capacity).contains(k), "FeatureQueue.nearest: \(k) of \(capacity) rows")
    precondition(
      ids.count <= sizes.queriesPerRank, "FeatureQueue.nearest: \(ids.count) queries, \(sizes.queriesPerRank) expected")
    let memory = Tensor(uninitialized: [ids.count * k, 2])
    let best = UnsafeMutableRawPointer(memory.pointer).assumingMemoryBound(to: RowMatch.self)
    best.update(repeating: .none, count: ids.count * k)
    let own = ids.map { Int64($0) }
    switch store {
    case .replicated(let store): store.nearest(queries, own, k, into: best)
    case .node(let store): try store.nearest(queries, own, k, into: best)
    case .global(let store): try store.nearest(queries, own, k, into: best)
    }
    for query in ids.indices { complete(best + query * k, k) }
    let matches = UnsafeBufferPointer(start: best, count: ids.count * k)
    return QueueMatches(k: k, slots: matches.map(\.row), similarities: matches.map(\.similarity))
  }

  /// Fills a list that is not full: every slot that is not in it has a similarity of minus infinity.
  private func complete(_ list: UnsafeMutablePointer<RowMatch>, _ k: Int) {
    guard list[k - 1].row < 0 else { return }
    let found = (0..<k).prefix { list[$0].row >= 0 }
    let known = Set(found.map { list[$0].row })
    var slot: Int32 = 0
    for place in found.count..<k {
      while known.contains(slot) { slot += 1 }
      list[place] = RowMatch(similarity: -.infinity, row: slot)
      slot += 1
    }
  }

  /// What stands in some slots.
  /// - Parameters:
  ///   - slots: in 0 ..< capacity; their number may differ between ranks.
  /// - Collective: all ranks.
  public func rows(_ slots: [Int32]) throws(Failure) -> QueueRows {
    precondition(
      slots.allSatisfy { $0 >= 0 && $0 < capacity }, "FeatureQueue.rows: slots up to \(slots.max() ?? 0) of \(capacity)"
    )
    switch store {
    case .replicated(let store): return store.rows(slots)
    case .node(let store): return store.rows(slots)
    case .global(let store): return try store.rows(slots)
    }
  }

  /// Writes a batch over the oldest rows: all ranks' blocks in rank order, the last `capacity` of them.
  /// - Shapes: embeddings [b, width], unit rows; ids, labels [b]; b is this rank's part of the global batch by
  ///   `blockRange`.
  /// - Parameters:
  ///   - ids: the numbers of the images, 0 or more.
  ///   - labels: of the images; -1 for none.
  /// - Collective: all ranks.
  public func enqueue(_ embeddings: Tensor, ids: [Int], labels: [Int32]) throws(Failure) {
    let count = sizes.block.count
    precondition(
      embeddings.shape.rank == 2 && embeddings.shape[0] == count && embeddings.shape[1] == width && ids.count == count
        && labels.count == count,
      "FeatureQueue.enqueue: \(embeddings.shape), \(ids.count) ids, \(labels.count) labels for a block of \(count)")
    let batch = QueueBatch(embeddings: embeddings, ids: ids, labels: labels)
    switch store {
    case .replicated(let store): try store.enqueue(batch)
    case .node(let store): try store.enqueue(batch)
    case .global(let store): store.enqueue(batch)
    }
    sizes.advance()
  }

  /// How many images were enqueued after each slot; the capacity for a slot that was never written. Local.
  public func ages(_ slots: [Int32]) -> [Int] {
    let order = sizes.order
    return slots.map { slot in
      let sample = order.sample(inSlot: Int(slot), after: enqueued)
      return sample < 0 ? capacity : enqueued - 1 - sample
    }
  }

  /// Rows, ids, labels and counters as a checkpoint keeps them: slot by slot, whatever the placement.
  public var state: [NamedState] {
    let names = [("queue/vectors", [capacity, width]), ("queue/ids", [capacity]), ("queue/labels", [capacity])]
    let rows: [NamedState]
    switch store {
    case .replicated(let store):
      rows = [
        NamedState(names[0].0, store.vectors), NamedState(names[1].0, store.ids), NamedState(names[2].0, store.labels),
      ]
    case .node(let store): rows = zip(names, store.state).map { NamedState($0.0, shape: $0.1, $1) }
    case .global(let store): rows = zip(names, store.state).map { NamedState($0.0, shape: $0.1, $1) }
    }
    return rows + [NamedState("queue/counters", sizes.counters)]
  }

  /// The memory of the rows and of what a lookup needs between calls.
  /// - Units: bytes: of this rank alone, and shared by the ranks of its node.
  public var heldBytes: (own: Int, shared: Int) {
    switch store {
    case .replicated(let store): return (store.bytes, 0)
    case .node(let store): return (0, store.bytes)
    case .global(let store): return (store.bytes, 0)
    }
  }
}

/// One rank's block of a batch.
struct QueueBatch {
  let embeddings: Tensor
  let ids: [Int]
  let labels: [Int32]

  /// Calls `body` for each row with its place in the block.
  func forEach(from first: Int = 0, _ body: (Int, UnsafePointer<Float>, Int64, Int32) -> Void) {
    let width = embeddings.shape[1]
    for row in max(first, 0)..<max(first, ids.count, 0) {
      body(row, embeddings.pointer + row * width, Int64(ids[row]), labels[row])
    }
  }
}

/// What all placements know: sizes, ranks, and how far the queue has come.
final class QueueSizes {
  let capacity, width, globalBatch, queriesPerRank: Int
  let seed: UInt64
  let communicator: Communicator
  let traffic = Traffic()
  /// Pointer and samples enqueued.
  let counters = IntegerBlock(repeating: 0, count: 2)
  /// This rank's places in a batch.
  let block: Range<Int>

  init(
    capacity: Int, width: Int, globalBatch: Int, queriesPerRank: Int, seed: UInt64, communicator: Communicator
  ) {
    self.capacity = capacity
    self.width = width
    self.globalBatch = globalBatch
    self.queriesPerRank = queriesPerRank
    self.seed = seed
    self.communicator = communicator
    block = blockRange(count: globalBatch, part: communicator.rank, of: communicator.size)
  }

  var pointer: Int { Int(counters[0]) }
  var enqueued: Int { Int(counters[1]) }

  func advance() {
    counters[0] = Int64((pointer + globalBatch) % capacity)
    counters[1] += Int64(globalBatch)
  }

  /// The order of the samples, as the counters have it; batches begin where the counters stand.
  var order: QueueOrder {
    QueueOrder(
      capacity: capacity, globalBatch: globalBatch, ranks: communicator.size,
      offset: wrapped(pointer - enqueued, capacity), base: enqueued)
  }

  /// The slot of each place of the next batch; those before `firstWritten` are overwritten by later ones of the same.
  func slot(ofPlace place: Int) -> Int { (pointer + place) % capacity }
  var firstWritten: Int { max(globalBatch - capacity, 0) }

  /// - Throws: on every rank: code 65 when counters were loaded that no queue can have.
  func checkCounters() throws(Failure) {
    guard (0..<capacity).contains(pointer), enqueued >= 0 else {
      throw Failure(
        .badData, "the queue's pointer \(pointer) after \(enqueued) samples does not fit \(capacity) slots",
        at: "queue/counters")
    }
  }

  /// Arrays of random rows in memory of this rank, a row for each slot that `slot` names.
  func randomRows(_ memory: Storage, rows: Int, slot: (Int) -> Int) -> QueueArrays {
    let arrays = QueueArrays(UnsafeMutableRawPointer(memory.base), rows: rows, width: width)
    Team.split(rows) { range in
      for row in range { arrays.writeRandom(row, slot: slot(row), seed: seed) }
    }
    return arrays
  }
}
