import Basics
import Messaging
import Tensors

/// Times and counts what a queue does in a step, for `sslmpi bench queue`.
public enum QueueBenchmark {
  /// What is measured.
  public struct Options: Sendable {
    /// Rows of the queue, and their width.
    public var capacity, width: Int
    /// Queries of each rank in a lookup.
    public var queries: Int
    /// Neighbours of each.
    public var k: Int
    /// Samples of one enqueue over all ranks.
    public var globalBatch: Int
    /// Steps that are measured, after one that is not.
    public var rounds: Int

    /// Describes a measurement.
    public init(capacity: Int, width: Int, queries: Int, k: Int, globalBatch: Int, rounds: Int) {
      self.capacity = capacity
      self.width = width
      self.queries = queries
      self.k = k
      self.globalBatch = globalBatch
      self.rounds = rounds
    }
  }

  /// What one placement did.
  public struct Result: Sendable {
    /// Where the rows were.
    public let placement: QueuePlacement
    /// The median over rounds of the slowest rank's time: of a lookup, of fetching one row for each query, of an
    /// enqueue.
    /// - Units: seconds.
    public let lookupSeconds, rowsSeconds, enqueueSeconds: Double
    /// The median over rounds of the time of bare products with as many operations as the lookup, over that of the
    /// lookup: taken in turns, on all ranks at once.
    public let fractionOfProduct: Double
    /// Counted from the calls of a step, each over all ranks: lookup, fetch, enqueue.
    public let traffic: [(sent: RankSpread, received: RankSpread)]
    /// What the same calls receive on average over the ranks by the table.
    public let formula: QueueTraffic
    /// The memory of the queue: of the rank that has most, and of the node that has most.
    public let rankBytes, nodeBytes: Int
  }

  /// Measures placements one after the other, each with a queue of its own.
  /// - Throws: as `FeatureQueue`.
  /// - Collective: all ranks, with the same arguments.
  public static func run(
    _ placements: [QueuePlacement], _ options: Options, _ communicator: Communicator
  ) throws(Failure) -> [Result] {
    var results: [Result] = []
    for placement in placements { results.append(try run(placement, options, communicator)) }
    return results
  }

  private static func run(
    _ placement: QueuePlacement, _ options: Options, _ communicator: Communicator
  ) throws(Failure) -> Result {
    let queue = try FeatureQueue(
      capacity: options.capacity, width: options.width, placement: placement, globalBatch: options.globalBatch,
      queriesPerRank: options.queries, seed: 0, communicator: communicator)
    let block = blockRange(count: options.globalBatch, part: communicator.rank, of: communicator.size)
    let queries = units(options.queries, options.width, rank: communicator.rank)
    let keys = units(block.count, options.width, rank: communicator.rank)
    let none = [Int](repeating: -1, count: options.queries)
    let product = BareProduct(operations: options.queries * options.capacity, inner: options.width)
    var seconds = [[Double]](repeating: [], count: 4)
    var moved = [(sent: Double, received: Double)](repeating: (0, 0), count: 4)
    for round in 0...options.rounds {
      var times: [Double] = []
      func measure(_ body: () throws(Failure) -> Void) throws(Failure) {
        try communicator.barrier()
        let (sent, received) = (queue.traffic.sent, queue.traffic.received)
        let start = monotonicSeconds()
        try body()
        let place = times.count
        times.append(monotonicSeconds() - start)
        moved[place] = (Double(queue.traffic.sent - sent), Double(queue.traffic.received - received))
      }
      var picks: [Int32] = []
      try measure { () throws(Failure) in
        let found = try queue.nearest(queries, ids: none, k: options.k)
        picks = (0..<options.queries).map { found.slots[$0 * options.k + $0 % options.k] }
      }
      try measure { () throws(Failure) in _ = try queue.rows(picks) }
      try measure { () throws(Failure) in
        let ids = block.map { round * options.globalBatch + $0 }
        try queue.enqueue(keys, ids: ids, labels: [Int32](repeating: -1, count: block.count))
      }
      try measure { () throws(Failure) in product.run() }
      let slowest = try communicator.allReduceMax(times)
      guard round > 0 else { continue }
      for place in slowest.indices { seconds[place].append(slowest[place]) }
    }
    let spreads = try communicator.spreads(of: moved.flatMap { [$0.sent, $0.received] })
    let (rankBytes, nodeBytes) = try memory(queue, communicator)
    return Result(
      placement: placement, lookupSeconds: median(seconds[0]), rowsSeconds: median(seconds[1]),
      enqueueSeconds: median(seconds[2]),
      fractionOfProduct: median(zip(seconds[3], seconds[0]).map { $0 * product.scale / $1 }),
      traffic: (0..<3).map { (spreads[2 * $0], spreads[2 * $0 + 1]) },
      formula: QueueTraffic(
        placement, width: options.width, queries: options.queries, k: options.k, globalBatch: options.globalBatch,
        ranks: communicator.size, nodes: communicator.node.count), rankBytes: rankBytes, nodeBytes: nodeBytes)
  }

  private static func memory(
    _ queue: FeatureQueue, _ communicator: Communicator
  ) throws(Failure) -> (rank: Int, node: Int) {
    let held = queue.heldBytes
    var ofNodes = [Int64](repeating: 0, count: communicator.node.count)
    ofNodes[communicator.node.index] = Int64(held.own + (communicator.node.rank == 0 ? held.shared : 0))
    let node = try communicator.allReduceSum(ofNodes).max() ?? 0
    return (Int(try communicator.allReduceMax([Int64(held.own)])[0]), Int(node))
  }

  private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

  /// Unit rows that every placement meets again.
  private static func units(_ count: Int, _ width: Int, rank: Int) -> Tensor {
    let x = Tensor(uninitialized: [count, width])
    for row in 0..<count {
      var stream = RandomStream(seed: 1, purpose: .probe, index: row, view: rank)
      for place in 0..<width { x.pointer[row * width + place] = Float(stream.normal()) }
    }
    let (y, inverse) = (Tensor(uninitialized: x.shape), Tensor(uninitialized: [count]))
    Kernels.l2Normalize(x, floor: 1e-12, into: y, inverse: inverse)
    return y
  }
}

/// What the time of a lookup is compared with.
private struct BareProduct {
  private static let side = 1024
  private let x, weight, y: Tensor
  private let times: Int
  /// The operations wanted over those done.
  let scale: Double

  /// - Parameter operations: products of vectors.
  init(operations: Int, inner: Int) {
    x = Tensor(repeating: 0.5, [Self.side, inner])
    weight = Tensor(repeating: 0.25, [Self.side, inner])
    y = Tensor(uninitialized: [Self.side, Self.side])
    times = max(operations / (Self.side * Self.side), 1)
    scale = Double(operations) / Double(times * Self.side * Self.side)
  }

  func run() { for _ in 0..<times { Matmul.forward(x, weight, into: y) } }
}

/// What a rank receives from others in a step, on average over the ranks, when all bring as much.
///
/// The terms are those of the table, with k candidates a query instead of one. The rest travels with them: 8 bytes for
/// the number of an image, 4 for its label, and 8 from each rank where lengths are not known before.
/// - Source: `systems.md` 5.5.
public struct QueueTraffic: Equatable, Sendable {
  /// The terms of the table: lookup, fetch of a row for each query, enqueue.
  /// - Units: bytes.
  public let lookup, rows, enqueue: Double
  /// The rest, of each of the three.
  public let extraLookup, extraRows, extraEnqueue: Double

  /// Evaluates the table.
  public init(
    _ placement: QueuePlacement, width: Int, queries: Int, k: Int, globalBatch: Int, ranks: Int, nodes: Int
  ) {
    let row = Double(width * MemoryLayout<Float>.size)
    let others = Double(ranks - 1)
    let (v, b, r) = (Double(queries), Double(globalBatch), Double(ranks))
    switch placement {
    case .replicated:
      (lookup, rows, enqueue) = (0, 0, others / r * b * row)
      (extraLookup, extraRows, extraEnqueue) = (0, 0, others / r * b * 12)
    case .node:
      // Once to each node, spread over its ranks.
      let foreign = Double(nodes - 1) * b / r
      (lookup, rows, enqueue) = (0, 0, foreign * row)
      (extraLookup, extraRows, extraEnqueue) = (0, 0, foreign * 12)
    case .global:
      lookup = others * v * row + others * v * Double(k) * 8
      rows = v * others / r * (4 + row)
      enqueue = 0
      (extraLookup, extraRows, extraEnqueue) = (others * v * 8 + others * 8, v * others / r * 12 + others * 8, 0)
    }
  }
}
