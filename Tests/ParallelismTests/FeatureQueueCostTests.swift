import Basics
import Layers
import Messaging
import Tensors
import XCTest

@testable import Parallelism

/// What a queue sends and holds, counted, beside the table of `systems.md` 5.5. Collective: the same on all ranks.
final class FeatureQueueCostTests: XCTestCase {
  private let width = 16, k = 3

  /// Bytes received over all ranks by a call.
  private func received(_ queue: FeatureQueue, _ communicator: Communicator, _ call: () throws -> Void) throws -> Int {
    let (sent, received) = (queue.traffic.sent, queue.traffic.received)
    try call()
    let totals = try communicator.allReduceSum([
      Int64(queue.traffic.sent - sent), Int64(queue.traffic.received - received),
    ])
    XCTAssertEqual(totals[0], totals[1], "what is sent is received")
    return Int(totals[1])
  }

  func testCountedBytesAreThoseOfTheTable() throws {
    let communicator = try World.start().communicator
    let ranks = communicator.size
    let (batch, queries) = (6 * ranks, 5 * ranks)
    for tested in TestedPlacement.all {
      let queue = try FeatureQueue(
        capacity: 60 * ranks, width: width, placement: tested.placement, globalBatch: batch, queriesPerRank: queries,
        seed: 1, communicator: communicator, ranksPerNode: tested.ranksPerNode)
      let nodes = tested.ranksPerNode.map { (ranks + $0 - 1) / $0 } ?? 1
      let table = QueueTraffic(
        tested.placement, width: width, queries: queries, k: k, globalBatch: batch, ranks: ranks, nodes: nodes)
      let x = Tensor(repeating: 0.25, [queries, width])
      let ids = [Int](repeating: -1, count: queries)
      let lookup = try received(queue, communicator) { _ = try queue.nearest(x, ids: ids, k: k) }
      XCTAssertEqual(Double(lookup), Double(ranks) * (table.lookup + table.extraLookup), "\(tested)")
      // As many rows of each rank, as the table takes for granted.
      let order = QueueOrder(capacity: queue.capacity, globalBatch: batch, ranks: ranks)
      let owners = (0..<queue.capacity).map { order.rank(ofSample: order.sample(inSlot: $0, after: 0)) }
      let slots = (0..<ranks).flatMap { rank in owners.indices.filter { owners[$0] == rank }.prefix(5) }
      let rows = try received(queue, communicator) { _ = try queue.rows(slots.map { Int32($0) }) }
      XCTAssertEqual(slots.count, queries)
      XCTAssertEqual(Double(rows), Double(ranks) * (table.rows + table.extraRows), "\(tested)")
      let enqueue = try received(queue, communicator) {
        try ExactBatch(step: 0, count: batch, width: width).enqueue(into: queue, communicator)
      }
      XCTAssertEqual(Double(enqueue), Double(ranks) * (table.enqueue + table.extraEnqueue), "\(tested)")
    }
  }

  /// The terms themselves, written down from the table for one example.
  func testTheTable() {
    // P = 4, N = 2, b = 3, v b = 6, d s = 64.
    let replicated = QueueTraffic(.replicated, width: 16, queries: 6, k: 1, globalBatch: 12, ranks: 4, nodes: 2)
    XCTAssertEqual([replicated.lookup, replicated.rows, replicated.enqueue], [0, 0, 3 * 3 * 64])
    let node = QueueTraffic(.node, width: 16, queries: 6, k: 1, globalBatch: 12, ranks: 4, nodes: 2)
    // (N - 1) ppn b d s for each node, over its 2 ranks; the other node brings 6 rows.
    XCTAssertEqual([node.lookup, node.rows, 2 * node.enqueue], [0, 0, 6 * 64])
    let global = QueueTraffic(.global, width: 16, queries: 6, k: 1, globalBatch: 12, ranks: 4, nodes: 2)
    let queries = 3 * 6 * 64, candidates = 8 * 3 * 6
    XCTAssertEqual(global.lookup, Double(queries + candidates))
    XCTAssertEqual(global.rows, 4.5 * 68)
    XCTAssertEqual(global.enqueue, 0)
    XCTAssertEqual(global.extraLookup, Double(3 * 6 * 8 + 3 * 8))
    XCTAssertEqual(global.extraRows, 4.5 * 12 + 24)
  }

  func testMemoryIsOneCopyWhereItShouldBe() throws {
    let communicator = try World.start().communicator
    let (capacity, ranks) = (4096, communicator.size)
    let whole = capacity * (64 * 4 + 16)
    for tested in TestedPlacement.all {
      let queue = try tested.queue(capacity: capacity, width: 64, batch: 16, queries: 8, communicator)
      let (own, shared) = queue.heldBytes
      switch tested.placement {
      case .replicated: XCTAssertEqual([own, shared], [whole, 0])
      case .global:
        XCTAssertEqual(shared, 0)
        XCTAssertEqual(own, whole / 16 * blockRange(count: 16, part: communicator.rank, of: ranks).count)
        XCTAssertEqual(try communicator.allReduceSum([Int64(own)]), [Int64(whole)])
      case .node:
        XCTAssertEqual(own, 0)
        XCTAssertGreaterThanOrEqual(shared, whole)
        XCTAssertLessThan(shared, whole + whole / 4)
      }
    }
  }

  /// Copies of nodes are compared as other replicas are.
  func testACopyThatDiffersBetweenNodesIsFound() throws {
    let communicator = try World.start().communicator
    let tested = TestedPlacement(placement: .node, ranksPerNode: 1)
    let queue = try tested.queue(capacity: 40, width: 4, batch: 8, communicator)
    func digests() -> [ReplicaCheck.Digest] {
      queue.state.compactMap { state in
        guard case .global(let rows) = state.payload, let whole = rows.whole else { return nil }
        return ReplicaCheck.digest(
          state.name, UnsafeRawBufferPointer(start: whole, count: rows.count * rows.rowBytes))
      }
    }
    XCTAssertEqual(digests().map(\.name), ["queue/vectors", "queue/ids", "queue/labels"])
    try ReplicaCheck.verify(digests(), communicator)
    guard communicator.size > 1, case .global(let ids) = queue.state[1].payload else { return }
    if communicator.rank == 1 {
      var foreign = Int64(77)
      ids.store(3..<4, from: &foreign)
    }
    XCTAssertThrowsError(try ReplicaCheck.verify(digests(), communicator)) {
      XCTAssertEqual(($0 as? Failure)?.what, "replicas differ in queue/ids")
    }
  }
}
