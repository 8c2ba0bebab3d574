import Basics
import Checkpoints
import Foundation
import Glibc
import Layers
import Messaging
import Parallelism
import Storage
import Tensors
import TestKit
import XCTest

/// A queue is saved slot by slot and goes on in any placement. Under `mpirun` all ranks take part.
final class QueueCheckpointTests: CollectiveTestCase {
  private struct Kind: CustomStringConvertible {
    let placement: QueuePlacement
    var ranksPerNode: Int?
    var description: String { "\(placement) \(ranksPerNode ?? 0)" }
  }

  private let kinds = [
    Kind(placement: .replicated), Kind(placement: .global), Kind(placement: .node),
    Kind(placement: .node, ranksPerNode: 1), Kind(placement: .node, ranksPerNode: 2),
  ]
  /// Rows of 192 bytes, of which a chunk holds no whole number, and more than one chunk of them.
  private let capacity = 22_500, width = 48

  private func queue(_ kind: Kind, seed: UInt64, batch: Int = 4099) throws -> FeatureQueue {
    try FeatureQueue(
      capacity: capacity, width: width, placement: kind.placement, globalBatch: batch, seed: seed,
      communicator: try sharedCommunicator(), ranksPerNode: kind.ranksPerNode)
  }

  private func values(_ samples: Range<Int>, step: Int) -> [Float] {
    samples.flatMap { sample in (0..<width).map { Float((sample * 31 + $0 * 7 + step) % 101 - 50) / 64 } }
  }

  private func enqueue(_ queue: FeatureQueue, step: Int, batch: Int = 4099) throws {
    let world = try sharedCommunicator()
    let own = blockRange(count: batch, part: world.rank, of: world.size)
    try queue.enqueue(
      Tensor(values(own, step: step), [own.count, width]), ids: own.map { $0 + step * batch },
      labels: own.map { Int32($0 % 10) })
  }

  private func tensors(_ queue: FeatureQueue) -> [NamedTensor] {
    queue.state.map { state in
      switch state.payload {
      case .floats(let tensor):
        NamedTensor(name: state.name, shape: state.shape, payload: .float32(tensor.pointer))
      case .integers(let block): NamedTensor(name: state.name, shape: state.shape, payload: .int64(block.base))
      case .global(let rows): NamedTensor(name: state.name, shape: state.shape, payload: .scattered(rows))
      }
    }
  }

  private func save(
    _ queue: FeatureQueue, to directory: String, engine: CheckpointEngine = .direct
  ) throws -> String {
    // Something before and behind that every rank has whole.
    try CheckpointWriter.save(
      tensors(queue), header: sampleHeader(step: 1), directory: directory, engine: engine,
      communicator: try sharedCommunicator())
  }

  private func load(_ queue: FeatureQueue, from path: String) throws {
    _ = try CheckpointReader.load(into: tensors(queue), from: path, communicator: try sharedCommunicator())
  }

  private func expectEqual(
    _ found: FeatureQueue, _ expected: FeatureQueue, _ what: String, line: UInt = #line
  ) throws {
    let slots = (0..<capacity).map { Int32($0) }
    let (a, b) = (try found.rows(slots), try expected.rows(slots))
    XCTAssertTrue(a.vectors.array == b.vectors.array, "vectors, \(what)", line: line)
    XCTAssertTrue(a.ids == b.ids && a.labels == b.labels, "ids, \(what)", line: line)
    XCTAssertEqual(found.pointer, expected.pointer, what, line: line)
    XCTAssertEqual(found.enqueued, expected.enqueued, what, line: line)
    XCTAssertEqual(found.ages([0, 1, 22_499]), expected.ages([0, 1, 22_499]), what, line: line)
  }

  func testEveryPlacementAndEngineWritesTheSameFile() throws {
    let world = try sharedCommunicator()
    var files: [[UInt8]] = []
    for kind in kinds {
      let queue = try queue(kind, seed: 3)
      for step in 0..<7 { try enqueue(queue, step: step) }
      for engine in CheckpointEngine.allCases {
        let path = try save(queue, to: try sharedDirectory(world), engine: engine)
        files.append(contents(path))
        XCTAssertTrue(files[0] == files[files.count - 1], "\(kind), \(engine)")
      }
    }
  }

  /// Slot by slot: what one rank would write, so that any number of ranks can read it.
  func testTheFileHoldsSlotsInTheirOrder() throws {
    let world = try sharedCommunicator()
    let queue = try queue(kinds[1], seed: 3)
    for step in 0..<7 { try enqueue(queue, step: step) }
    let path = try save(queue, to: try sharedDirectory(world))
    let file = try H5File.open(path)
    let outcome = Result {
      let datasets = try file.datasets().filter { $0.name.hasPrefix("queue/") }
      XCTAssertEqual(
        datasets.map { "\($0.name) \($0.kind?.rawValue ?? "?") \($0.shape)" },
        [
          "queue/counters i64 [2]", "queue/ids i64 [22500]", "queue/labels i64 [22500]",
          "queue/vectors f32 [22500, 48]",
        ])
      var (ids, counters) = ([Int64](repeating: 0, count: capacity), [Int64](repeating: 0, count: 2))
      var vectors = [Float](repeating: 0, count: capacity * width)
      try file.read("queue/ids", .int64, into: &ids)
      try file.read("queue/counters", .int64, into: &counters)
      try file.read("queue/vectors", .float32, into: &vectors)
      XCTAssertEqual(counters, [Int64(7 * 4099 % capacity), 7 * 4099])
      var (expectedIDs, expected) = (ids, vectors)
      for sample in 7 * 4099 - capacity..<7 * 4099 {
        let slot = sample % capacity
        expectedIDs[slot] = Int64(sample)
        let (step, place) = sample.quotientAndRemainder(dividingBy: 4099)
        expected.replaceSubrange(slot * width..<(slot + 1) * width, with: values(place..<place + 1, step: step))
      }
      XCTAssertTrue(ids == expectedIDs)
      XCTAssertTrue(vectors == expected)
    }
    try file.close()
    try outcome.get()
  }

  func testAQueueGoesOnInAnyPlacement() throws {
    let world = try sharedCommunicator()
    for from in kinds {
      let original = try queue(from, seed: 3)
      for step in 0..<7 { try enqueue(original, step: step) }
      let path = try save(original, to: try sharedDirectory(world))
      for kind in kinds {
        let restored = try queue(kind, seed: 4)
        try enqueue(restored, step: 55)
        try load(restored, from: path)
        try expectEqual(restored, original, "\(from) to \(kind)")
        guard from.placement == .global else { continue }
        // Batches of another size: what was loaded stays where it is found.
        let other = try queue(kind, seed: 4, batch: 1000)
        try load(other, from: path)
        try expectEqual(other, original, "\(from) to \(kind), batch 1000")
        try enqueue(other, step: 7, batch: 1000)
        let ids = try other.rows([Int32(original.pointer), Int32(original.pointer + 999)]).ids
        XCTAssertEqual(ids, [7000, 7999])
      }
      // Both go on alike.
      let restored = try queue(kinds[1], seed: 4)
      try load(restored, from: path)
      for step in 7..<10 {
        for queue in [original, restored] { try enqueue(queue, step: step) }
      }
      try expectEqual(restored, original, "\(from), three steps on")
      let queries = Tensor(ExactRandom.floats(5 * width, seed: UInt64(world.rank)), [5, width])
      let ids = [Int](repeating: -1, count: 5)
      XCTAssertEqual(
        try restored.nearest(queries, ids: ids, k: 7), try original.nearest(queries, ids: ids, k: 7), "\(from)")
    }
  }

  func testADamagedDatasetIsRefused() throws {
    let world = try sharedCommunicator()
    for kind in kinds {
      let path = try save(try queue(kind, seed: 3), to: try sharedDirectory(world))
      let datasets = try Inspection.describe(path, verify: false).datasets
      let offset = try XCTUnwrap(datasets.first { $0.name == "queue/vectors" }?.offset)
      if world.rank == 0 { try ByteFile.open(path, writable: true).write([1, 2, 3], at: offset + 4_250_000) }
      try world.barrier()
      let restored = try queue(kind, seed: 4)
      let error = failure { try load(restored, from: path) }
      XCTAssertEqual(error?.code, .badData)
      XCTAssertTrue(
        error?.what.hasSuffix("the checksum of queue/vectors, chunk 1, does not match") ?? false, error?.what ?? "")
      // The ranks still agree about what comes next.
      XCTAssertEqual(try world.allReduceSum([Int64(1)]), [Int64(world.size)])
    }
  }

  func testCountersThatNoQueueHasAreRefused() throws {
    let world = try sharedCommunicator()
    for kind in kinds.dropFirst() {
      let bad = try queue(kind, seed: 3)
      guard case .integers(let counters) = bad.state[3].payload else { return XCTFail("no counters") }
      counters[0] = Int64(capacity)
      let path = try save(bad, to: try sharedDirectory(world))
      let error = failure { try load(try queue(kind, seed: 4), from: path) }
      XCTAssertEqual(error?.code, .badData)
      XCTAssertEqual(error?.place, "queue/counters")
    }
  }

  /// One rank cannot write its part: all get its error, and the ranks still go on together.
  func testAWriteErrorOnOneRankIsEverybodys() throws {
    let world = try sharedCommunicator()
    for kind in kinds {
      let queue = try queue(kind, seed: 3)
      let directory = try sharedDirectory(world)
      // The rank that makes the file, and one that has chunks of it.
      for culprit in Set([0, world.size - 1]).sorted() {
        var usual = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &usual)
        var low = usual
        low.rlim_cur = 8192
        if world.rank == culprit { setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &low) }
        let error = failure { _ = try save(queue, to: directory) }
        setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &usual)
        XCTAssertEqual(error?.code, .ioError, "\(kind), rank \(culprit)")
      }
      try world.barrier()
      XCTAssertEqual(Directory.entries(directory), [])
      try world.barrier()
      _ = try save(queue, to: directory)
      try load(queue, from: "\(directory)/step-00000001.h5")
    }
  }

  /// Before and after an enqueue, each as it was when it was added.
  func testAStepRecordHoldsTheQueueBeforeAndAfter() throws {
    let world = try sharedCommunicator()
    for kind in kinds {
      let queue = try queue(kind, seed: 3)
      try enqueue(queue, step: 0)
      var record = StepRecord(method: "mae-ct", config: "{}", seed: 1, step: 1, communicator: world)
      for tensor in tensors(queue) { record.add("state_before", tensor) }
      try enqueue(queue, step: 1)
      for tensor in tensors(queue) { record.add("state_after", tensor) }
      let path = "\(try sharedDirectory(world))/step.h5"
      try record.write(to: path, communicator: world)
      let file = try H5File.open(path)
      let outcome = Result {
        for (name, written) in [("before", 4099), ("after", 8198)] {
          var ids = [Int64](repeating: 0, count: capacity)
          var vectors = [Float](repeating: 0, count: capacity * width)
          try file.read("state_\(name)/queue/ids", .int64, into: &ids)
          try file.read("state_\(name)/queue/vectors", .float32, into: &vectors)
          XCTAssertEqual(ids, (0..<capacity).map { $0 < written ? Int64($0) : -1 }, "\(kind)")
          XCTAssertEqual(
            Array(vectors[4098 * width..<4099 * width]), values(4098..<4099, step: 0), "\(kind)")
        }
      }
      try file.close()
      try outcome.get()
    }
  }
}
