import Basics
import Messaging
import Tensors
import TestKit
import XCTest

@testable import Parallelism

/// The queue in every placement against a plain one that each rank computes alone, so that all numbers of ranks agree.
/// Collective: the same on all ranks.
final class FeatureQueueTests: XCTestCase {
  /// Whole rounds, wraps, batches longer than the queue, and more ranks than samples.
  private let sizes = [(12, 4, 4), (10, 5, 4), (7, 3, 16), (64, 16, 6), (5, 8, 2), (9, 2, 3), (33, 7, 33), (1, 3, 5)]

  private func everyQueue(
    _ body: (Communicator, FeatureQueue, _ batch: Int, String) throws -> Void
  ) throws {
    let communicator = try World.start().communicator
    for (capacity, width, batch) in sizes {
      for tested in TestedPlacement.all {
        let queue = try tested.queue(capacity: capacity, width: width, batch: batch, communicator)
        try body(communicator, queue, batch, "\(tested), \((capacity, width, batch)), \(communicator.size) ranks")
      }
    }
  }

  func testNewQueuesAreTheSameUnitRows() throws {
    try everyQueue { _, queue, _, what in
      let plain = PlainQueue(capacity: queue.capacity, width: queue.width, seed: 5)
      try expectContents(queue, plain, what)
      for row in plain.vectors {
        XCTAssertEqual(row.reduce(0) { $0 + Double($1) * Double($1) }, 1, accuracy: 1e-6)
      }
      XCTAssertEqual(queue.ages([0]), [queue.capacity])
    }
  }

  func testInvariant08StepsAgainstAPlainQueue() throws {
    try everyQueue { communicator, queue, batch, what in
      let (capacity, width) = (queue.capacity, queue.width)
      var plain = PlainQueue(capacity: capacity, width: width, seed: 5)
      let steps = 2 * capacity / batch + 3
      for step in 0..<steps {
        let next = ExactBatch(step: step, count: batch, width: width)
        try next.enqueue(into: queue, communicator)
        plain.enqueue(next.rows, ids: next.ids, labels: next.labels)
        try expectContents(queue, plain, "\(what), step \(step)")
        let slots = (0..<capacity).map { Int32($0) }
        XCTAssertEqual(queue.ages(slots), slots.map { plain.age(Int($0)) }, "\(what), step \(step)")
        // The random rows, whose products are not exact, are gone.
        guard plain.enqueued >= capacity else { continue }
        let count = (2 * communicator.rank + step) % 5
        let numbers = (0..<count).map { step * 100 + communicator.rank * 10 + $0 }
        let k = min(capacity, [1, 3, capacity][step % 3])
        let found = try queue.nearest(
          Tensor(numbers.flatMap { exactRow($0, width) }, [count, width]), ids: numbers.map { $0 % 23 }, k: k)
        for (place, number) in numbers.enumerated() {
          let expected = plain.nearest(exactRow(number, width), id: number % 23, k: k)
          let range = place * k..<(place + 1) * k
          XCTAssertEqual(found.slots[range].map(Int.init), expected.map(\.slot), "\(what), step \(step)")
          XCTAssertEqual(Array(found.similarities[range]), expected.map(\.similarity), "\(what), step \(step)")
        }
        let picked = try queue.rows(Array(found.slots.prefix(3 * count)))
        XCTAssertEqual(
          picked.vectors.array, found.slots.prefix(3 * count).flatMap { plain.vectors[Int($0)] }, what)
      }
    }
  }

  /// Invariant 8 of `spec/mae-ct.md`.
  func testInvariant08AsManyBatchesAsFitOverwriteEverything() throws {
    let communicator = try World.start().communicator
    for tested in TestedPlacement.all {
      let queue = try tested.queue(capacity: 24, width: 4, batch: 6, communicator)
      var rows: [[Float]] = []
      for step in 0..<4 {
        let next = ExactBatch(step: step, count: 6, width: 4)
        try next.enqueue(into: queue, communicator)
        rows += next.rows
      }
      XCTAssertEqual(queue.pointer, 0, "\(tested)")
      XCTAssertEqual(
        try queue.rows((0..<24).map { Int32($0) }).vectors.array, rows.flatMap { $0 },
        "the blocks in rank order, batch after batch: \(tested)")
    }
  }

  /// Random rows, whose products depend on the order of summation: the same bits in every placement, as of one rank.
  func testInvariant08SimilaritiesHaveTheSameBitsEverywhere() throws {
    let communicator = try World.start().communicator
    let (capacity, width, k) = (1000, 40, 20)
    defer { ThreadTeam.configure(threads: 1) }
    for threads in [1, 3] {
      ThreadTeam.configure(threads: threads)
      let m = 5 + communicator.rank
      let queries = Tensor(ExactRandom.floats(m * width, seed: UInt64(communicator.rank)), [m, width])
      let ids = [Int](repeating: -1, count: m)
      let plain = PlainQueue(capacity: capacity, width: width, seed: 5)
      let bank = Tensor(plain.vectors.flatMap { $0 }, [capacity, width])
      let bankIDs = [Int64](repeating: -1, count: capacity)
      var alone = [RowMatch](repeating: .none, count: m * k)
      bankIDs.withUnsafeBufferPointer { numbers in
        guard let base = numbers.baseAddress else { return }
        RowSearch(queries, ids: ids.map { Int64($0) }, k: k)
          .run(over: [.init(rows: bank.pointer, ids: base, count: capacity)], into: &alone)
      }
      for tested in TestedPlacement.all {
        let queue = try tested.queue(capacity: capacity, width: width, batch: 12, communicator)
        let found = try queue.nearest(queries, ids: ids, k: k)
        XCTAssertEqual(found.slots, alone.map(\.row), "\(tested)")
        XCTAssertEqual(found.similarities.map(\.bitPattern), alone.map(\.similarity.bitPattern), "\(tested)")
      }
    }
  }

  /// Invariant 7 of `spec/mae-ct.md`.
  func testInvariant07TheNearestIsTheLargestAndTheOwnImageIsLast() throws {
    let communicator = try World.start().communicator
    let width = 8
    for tested in TestedPlacement.all {
      let queue = try tested.queue(capacity: 20, width: width, batch: 10, communicator)
      for step in 0..<2 { try ExactBatch(step: step, count: 10, width: width).enqueue(into: queue, communicator) }
      // The query is a row of the queue itself.
      for sample in [3, 17] {
        let query = Tensor(exactRow(sample, width), [1, width])
        let products = try queue.rows((0..<20).map { Int32($0) }).vectors.array.chunked(width).map {
          zip($0, query.array).reduce(Float(0)) { $0 + $1.0 * $1.1 }
        }
        let largest = products.max() ?? 0
        let first = try queue.nearest(query, ids: [-1], k: 1)
        XCTAssertEqual(first.slots, [Int32(products.firstIndex(of: largest) ?? -1)], "\(tested)")
        XCTAssertEqual(first.similarities, [largest])
        let others = products.filter { $0 > -1 }.count - 1
        let found = try queue.nearest(query, ids: [sample], k: others)
        XCTAssertFalse(found.slots.contains(Int32(sample)), "\(tested)")
        let all = try queue.nearest(query, ids: [sample], k: 20)
        XCTAssertEqual(all.slots.firstIndex(of: Int32(sample)), others, "\(tested)")
        XCTAssertEqual(all.similarities[others], -1)
      }
    }
  }

  func testAQueryThatIsNoNumberFindsTheFirstSlots() throws {
    let communicator = try World.start().communicator
    for tested in TestedPlacement.all {
      let queue = try tested.queue(capacity: 30, width: 4, batch: 10, communicator)
      for step in 0..<3 { try ExactBatch(step: step, count: 10, width: 4).enqueue(into: queue, communicator) }
      let queries = Tensor([.nan, 0, 0, 0, 1, 0, 0, 0], [2, 4])
      let found = try queue.nearest(queries, ids: [2, -1], k: 5)
      XCTAssertEqual(Array(found.slots[..<5]), [2, 25, 0, 1, 3], "\(tested)")  // 25 is image 2 again
      XCTAssertEqual(
        Array(found.similarities[..<5]), [-1, -1, -.infinity, -.infinity, -.infinity], "\(tested)")
      XCTAssertTrue(found.similarities[5...].allSatisfy { $0.isFinite })
    }
  }

  /// A lookup of more neighbours than there was room for, and one that nobody has a query for.
  func testManyNeighboursAndNoQueries() throws {
    let communicator = try World.start().communicator
    for tested in TestedPlacement.all {
      let queue = try tested.queue(capacity: 100, width: 4, batch: 10, communicator)
      let query = Tensor(exactRow(1, 4), [1, 4])
      let few = try queue.nearest(query, ids: [-1], k: 10)
      let all = try queue.nearest(query, ids: [-1], k: 100)
      XCTAssertEqual(Set(all.slots), Set(0..<100), "\(tested)")
      XCTAssertEqual(Array(all.slots[..<10]), few.slots, "\(tested)")
      XCTAssertEqual(all.similarities, all.similarities.sorted(by: >), "\(tested)")
      let none = try queue.nearest(Tensor(zeros: [0, 4]), ids: [], k: 3)
      XCTAssertEqual(none.slots, [], "\(tested)")
      let empty = try queue.rows([])
      XCTAssertEqual(empty.vectors.shape, [0, 4])
    }
  }

  func testANodeWithoutRoomSaysWhatToDo() throws {
    let communicator = try World.start().communicator
    guard communicator.size > 1 else { return }
    var system = statvfs()
    XCTAssertEqual(statvfs("/dev/shm", &system), 0)
    // So much for each rank that the system refuses before it takes a page.
    let bytes = communicator.size * (Int(system.f_blocks) + 1) * Int(system.f_frsize)
    XCTAssertThrowsError(
      try FeatureQueue(
        capacity: 1 << 20, width: bytes >> 22, placement: .node, globalBatch: 1, seed: 0, communicator: communicator)
    ) {
      let failure = $0 as? Failure
      XCTAssertEqual(failure?.code, .unavailable)
      XCTAssertTrue(failure?.hint?.hasSuffix("or set queue.placement=global or replicated") ?? false, "\($0)")
    }
  }
}

extension Array {
  fileprivate func chunked(_ length: Int) -> [[Element]] {
    stride(from: 0, to: count, by: length).map { Array(self[$0..<$0 + length]) }
  }
}
