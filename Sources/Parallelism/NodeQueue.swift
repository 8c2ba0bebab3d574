import Basics
import Messaging
import Tensors

/// One copy of the queue on each node.
///
/// The ranks of a node put their queries where all of them see them; each searches a part of the slots for all, and
/// each picks the best for its own from what the others found. New rows are gathered in the node's memory, exchanged
/// among the first ranks of the nodes, and written by all ranks of a node, a part each. Between two calls nobody
/// writes: a lookup writes to the desk only, and whoever comes late to one reads what does not change before all have
/// come to the next.
final class NodeQueue {
  private static let remedy = "set queue.placement=global or replicated"
  /// Matches of a query for which there is room from the start.
  private static let usualMatches = 32

  private let sizes: QueueSizes
  private let group: NodeGroup
  private let memory: NodeBlock
  private var desk: QueueDesk
  let arrays: QueueArrays
  /// The slots that this rank searches, initialises and loads.
  let shard: Range<Int>

  /// - Throws: `.unavailable` when a node has no room.
  /// - Collective: all ranks.
  init(_ sizes: QueueSizes, group: NodeGroup) throws(Failure) {
    self.sizes = sizes
    self.group = group
    let communicator = sizes.communicator
    memory = try communicator.nodeBlock(
      bytes: QueueArrays.bytes(rows: sizes.capacity, width: sizes.width), in: group, remedy: Self.remedy)
    desk = try QueueDesk(sizes, group, matches: min(Self.usualMatches, sizes.capacity), remedy: Self.remedy)
    let arrays = QueueArrays(memory.base, rows: sizes.capacity, width: sizes.width)
    let shard = blockRange(count: sizes.capacity, part: group.rank, of: group.count)
    self.arrays = arrays
    self.shard = shard
    Team.split(shard.count) { range in
      for slot in range.map({ shard.lowerBound + $0 }) { arrays.writeRandom(slot, slot: slot, seed: sizes.seed) }
    }
    try communicator.synchronise(group)
  }

  var bytes: Int { memory.mappedBytes + desk.mappedBytes }

  /// - Collective: all ranks.
  func nearest(
    _ queries: Tensor, _ ids: [Int64], _ k: Int, into best: UnsafeMutablePointer<RowMatch>
  ) throws(Failure) {
    if k > desk.matches { desk = try QueueDesk(sizes, group, matches: k, remedy: Self.remedy) }
    desk.put(queries, ids, rank: group.rank)
    try sizes.communicator.synchronise(group)
    let (all, allIDs, before) = desk.takeAll(before: group.rank)
    let found = desk.candidates(of: group.rank)
    if !allIDs.isEmpty {
      if shard.isEmpty {
        found.update(repeating: .none, count: allIDs.count * k)
      } else {
        let part = RowSearch.Segment(
          rows: arrays.vectors + shard.lowerBound * sizes.width, ids: arrays.ids + shard.lowerBound, count: shard.count)
        RowSearch(all, ids: allIDs, k: k).run(over: [part], into: found)
        let first = Int32(shard.lowerBound)
        for place in 0..<allIDs.count * k where found[place].row >= 0 { found[place].row += first }
      }
    }
    try sizes.communicator.synchronise(group)
    for searcher in 0..<group.count {
      let list = desk.candidates(of: searcher) + before * k
      for query in ids.indices { RowSearch.merge(list + query * k, count: k, into: best + query * k, k: k) }
    }
  }

  func rows(_ slots: [Int32]) -> QueueRows {
    QueueRows(count: slots.count, width: sizes.width) { row, rows in rows.write(row, row: Int(slots[row]), of: arrays) }
  }

  /// - Collective: all ranks.
  func enqueue(_ batch: QueueBatch) throws(Failure) {
    let communicator = sizes.communicator
    let recordBytes = QueueRecord.bytes(width: sizes.width)
    // Node by node, rank by rank: on many machines that is the order of the batch, but it need not be.
    var places: [Int] = []
    var nodeBytes: [Int] = []
    var start = 0
    for node in group.nodes {
      let before = places.count
      for rank in node {
        if rank == communicator.rank { start = places.count }
        places += blockRange(count: sizes.globalBatch, part: rank, of: communicator.size)
      }
      nodeBytes.append((places.count - before) * recordBytes)
    }
    let records = desk.records
    batch.forEach { row, vector, id, label in
      QueueRecord.write(vector, sizes.width, id: id, label: label, to: records + (start + row) * recordBytes)
    }
    try communicator.gather(records, bytes: nodeBytes, among: group, counting: sizes.traffic)
    for number in blockRange(count: places.count, part: group.rank, of: group.count)
    where places[number] >= sizes.firstWritten {
      arrays.write(sizes.slot(ofPlace: places[number]), record: records + number * recordBytes)
    }
    try communicator.synchronise(group)
  }

  // MARK: checkpoints

  /// Vectors, ids, labels.
  var state: [ScatteredRows] {
    [
      rows(.float32, arrays.vectors, sizes.width * MemoryLayout<Float>.size),
      rows(.int64, arrays.ids, MemoryLayout<Int64>.size), rows(.int64, arrays.labels, MemoryLayout<Int64>.size),
    ]
  }

  private func rows(
    _ element: ScatteredRows.Element, _ base: UnsafeMutableRawPointer, _ rowBytes: Int
  ) -> ScatteredRows {
    ScatteredRows(
      element, count: sizes.capacity, rowBytes: rowBytes, whole: UnsafeRawPointer(base),
      collect: { wanted, target in
        let own = wanted[self.sizes.communicator.rank]
        target.copyMemory(from: base + own.lowerBound * rowBytes, byteCount: own.count * rowBytes)
      },
      beginLoading: { () throws(Failure) in
        try self.sizes.checkCounters()
        // Another rank may still read.
        try self.sizes.communicator.synchronise(self.group)
      },
      store: { rows, source in
        let own = rows.clamped(to: self.shard)
        (base + own.lowerBound * rowBytes)
          .copyMemory(from: source + (own.lowerBound - rows.lowerBound) * rowBytes, byteCount: own.count * rowBytes)
      },
      endLoading: { () throws(Failure) in try self.sizes.communicator.synchronise(self.group) },
      copied: { self.copied(element, base, rowBytes) })
  }

  /// A copy that lies on the ranks of the first node, each with its part.
  private func copied(
    _ element: ScatteredRows.Element, _ base: UnsafeMutableRawPointer, _ rowBytes: Int
  ) -> ScatteredRows {
    let owners = group.nodes[0]
    let capacity = sizes.capacity
    let part = group.index == 0 ? shard : 0..<0
    let copy = RowCopy(base + part.lowerBound * rowBytes, bytes: part.count * rowBytes)
    return RowOwners(
      communicator: sizes.communicator, count: capacity, rowBytes: rowBytes,
      owner: { slot in
        let lane = blockPart(of: slot, count: capacity, parts: owners.count)
        return (owners[lane], slot - blockRange(count: capacity, part: lane, of: owners.count).lowerBound)
      }
    ).rows(element, of: copy)
  }
}

/// The memory in which the ranks of a node show each other what they look for, found and bring.
private final class QueueDesk {
  private static let lineBytes = 64

  private let block: NodeBlock
  private let sizes: QueueSizes
  private let lanes: Int
  /// The most matches of a query that a search may return.
  let matches: Int
  private let ids: UnsafeMutablePointer<Int64>
  private let vectors: UnsafeMutablePointer<Float>
  private let found: UnsafeMutablePointer<RowMatch>
  /// The new rows of all ranks, node by node.
  let records: UnsafeMutableRawPointer

  /// - Collective: all ranks.
  init(_ sizes: QueueSizes, _ group: NodeGroup, matches: Int, remedy: String) throws(Failure) {
    self.sizes = sizes
    self.matches = matches
    lanes = group.count
    let queries = lanes * sizes.queriesPerRank
    let parts = [
      lanes * Self.lineBytes, queries * MemoryLayout<Int64>.size, queries * sizes.width * MemoryLayout<Float>.size,
      lanes * queries * matches * MemoryLayout<RowMatch>.size,
      sizes.globalBatch * QueueRecord.bytes(width: sizes.width),
    ].map { ($0 + Self.lineBytes - 1) / Self.lineBytes * Self.lineBytes }
    let block = try sizes.communicator.nodeBlock(bytes: parts.reduce(0, +), in: group, remedy: remedy)
    let starts = parts.indices.map { block.base + parts[..<$0].reduce(0, +) }
    self.block = block
    ids = starts[1].assumingMemoryBound(to: Int64.self)
    vectors = starts[2].assumingMemoryBound(to: Float.self)
    found = starts[3].assumingMemoryBound(to: RowMatch.self)
    records = starts[4]
  }

  var mappedBytes: Int { block.mappedBytes }

  /// How many queries a rank of the node has put down.
  private func counter(_ rank: Int) -> UnsafeMutablePointer<Int64> {
    (block.base + rank * Self.lineBytes).assumingMemoryBound(to: Int64.self)
  }

  /// Puts down the queries of one rank.
  func put(_ queries: Tensor, _ own: [Int64], rank: Int) {
    let first = rank * sizes.queriesPerRank
    counter(rank).pointee = Int64(own.count)
    for (place, id) in own.enumerated() { ids[first + place] = id }
    (vectors + first * sizes.width).update(from: queries.pointer, count: own.count * sizes.width)
  }

  /// The queries of all ranks of the node, in their order, and how many come before those of `rank`.
  func takeAll(before rank: Int) -> (queries: Tensor, ids: [Int64], before: Int) {
    let counts = (0..<lanes).map { Int(counter($0).pointee) }
    let total = counts.reduce(0, +)
    let all = Tensor(uninitialized: [total, sizes.width])
    var allIDs: [Int64] = []
    for (lane, count) in counts.enumerated() {
      let first = lane * sizes.queriesPerRank
      (all.pointer + allIDs.count * sizes.width)
        .update(from: vectors + first * sizes.width, count: count * sizes.width)
      allIDs += UnsafeBufferPointer(start: ids + first, count: count)
    }
    return (all, allIDs, counts[..<rank].reduce(0, +))
  }

  /// Where a rank leaves what it found for all queries of the node, in their order.
  func candidates(of rank: Int) -> UnsafeMutablePointer<RowMatch> {
    found + rank * lanes * sizes.queriesPerRank * matches
  }
}
