import Basics
import Messaging
import Tensors

/// One copy of the queue for all ranks: each keeps the live samples of its own blocks, in a ring.
///
/// To enqueue, nobody sends anything. For a lookup the queries go to all ranks, each searches its rows, and the
/// candidates go back.
final class GlobalQueue {
  private let sizes: QueueSizes
  private let memory: Storage
  private let arrays: QueueArrays
  private let room: Int
  private var order: QueueOrder
  private var share: QueueShare

  /// Local.
  init(_ sizes: QueueSizes) {
    self.sizes = sizes
    let order = sizes.order
    let share = order.share(of: sizes.communicator.rank)
    (self.order, self.share, room) = (order, share, share.room)
    memory = .unpooled((QueueArrays.bytes(rows: room, width: sizes.width) + 3) / 4)
    let arrays = QueueArrays(UnsafeMutableRawPointer(memory.base), rows: room, width: sizes.width)
    self.arrays = arrays
    for numbers in share.liveNumbers(after: 0) {
      Team.split(numbers.count) { range in
        for number in range.map({ numbers.lowerBound + $0 }) {
          arrays.writeRandom(
            share.index(number), slot: order.slot(ofSample: share.sample(number)), seed: sizes.seed)
        }
      }
    }
  }

  var bytes: Int { room * (sizes.width * MemoryLayout<Float>.size + 16) }

  // MARK: lookup

  /// - Collective: all ranks.
  func nearest(
    _ queries: Tensor, _ ids: [Int64], _ k: Int, into best: UnsafeMutablePointer<RowMatch>
  ) throws(Failure) {
    let communicator = sizes.communicator
    let counts = try communicator.exchange(
      [Int](repeating: ids.count, count: communicator.size), counting: sizes.traffic)
    let total = counts.reduce(0, +)
    guard total > 0 else { return }
    let all = Tensor(uninitialized: [total, sizes.width])
    try communicator.allGather(
      queries.pointer, bytes: counts.map { $0 * sizes.width * MemoryLayout<Float>.size }, into: all.pointer,
      counting: sizes.traffic)
    var allIDs = [Int64](repeating: 0, count: total)
    try communicator.allGather(
      ids, bytes: counts.map { $0 * MemoryLayout<Int64>.size }, into: &allIDs, counting: sizes.traffic)
    let foundMemory = Tensor(uninitialized: [total * k, 2])
    let found = UnsafeMutableRawPointer(foundMemory.pointer).assumingMemoryBound(to: RowMatch.self)
    search(all, allIDs, k, into: found)
    let matchBytes = k * MemoryLayout<RowMatch>.size
    let listsMemory = Tensor(uninitialized: [communicator.size * ids.count * k, 2])
    let lists = UnsafeMutableRawPointer(listsMemory.pointer).assumingMemoryBound(to: RowMatch.self)
    try communicator.allToAll(
      found, sendBytes: counts.map { $0 * matchBytes }, into: lists,
      receiveBytes: counts.map { _ in ids.count * matchBytes }, counting: sizes.traffic)
    for searcher in 0..<communicator.size {
      for query in ids.indices {
        RowSearch.merge(
          lists + (searcher * ids.count + query) * k, count: k, into: best + query * k, k: k)
      }
    }
  }

  /// The nearest of this rank's rows, by slot. Local.
  private func search(_ queries: Tensor, _ ids: [Int64], _ k: Int, into found: UnsafeMutablePointer<RowMatch>) {
    let live = share.liveNumbers(after: sizes.enqueued)
    var segments: [RowSearch.Segment] = []
    for numbers in live {
      var next = numbers.lowerBound
      while next < numbers.upperBound {
        let index = share.index(next)
        let count = min(numbers.upperBound - next, room - index)
        segments.append(.init(rows: arrays.vectors + index * sizes.width, ids: arrays.ids + index, count: count))
        next += count
      }
    }
    guard !segments.isEmpty else { return found.update(repeating: .none, count: ids.count * k) }
    RowSearch(queries, ids: ids, k: k).run(over: segments, into: found)
    for place in 0..<ids.count * k where found[place].row >= 0 {
      let row = Int(found[place].row)
      let number = row < live[0].count ? live[0].lowerBound + row : live[1].lowerBound + row - live[0].count
      found[place].row = Int32(order.slot(ofSample: share.sample(number)))
    }
  }

  // MARK: rows

  /// The rank that has a slot, and the row's place there.
  private func owner(of slot: Int, order: QueueOrder, enqueued: Int) -> (rank: Int, index: Int) {
    let sample = order.sample(inSlot: slot, after: enqueued)
    let rank = order.rank(ofSample: sample)
    let share = order.share(of: rank)
    return (rank, share.index(share.number(before: sample)))
  }

  /// The rank that has a slot.
  func rank(ofSlot slot: Int) -> Int { owner(of: slot, order: order, enqueued: sizes.enqueued).rank }

  /// - Collective: all ranks.
  func rows(_ slots: [Int32]) throws(Failure) -> QueueRows {
    let communicator = sizes.communicator
    let (order, enqueued) = (order, sizes.enqueued)
    let owners = slots.map { rank(ofSlot: Int($0)) }
    var requests = [[Int32]](repeating: [], count: communicator.size)
    for (slot, owner) in zip(slots, owners) { requests[owner].append(slot) }
    let sends = requests.map(\.count)
    let receives = try communicator.exchange(sends, counting: sizes.traffic)
    let slotBytes = MemoryLayout<Int32>.size
    var asked = [Int32](repeating: 0, count: max(receives.reduce(0, +), 1))
    try communicator.allToAll(
      requests.flatMap { $0 }, sendBytes: sends.map { $0 * slotBytes }, into: &asked,
      receiveBytes: receives.map { $0 * slotBytes }, counting: sizes.traffic)
    let recordBytes = QueueRecord.bytes(width: sizes.width)
    let outgoing = UnsafeMutableRawPointer.allocate(byteCount: asked.count * recordBytes, alignment: 64)
    let incoming = UnsafeMutableRawPointer.allocate(byteCount: max(slots.count, 1) * recordBytes, alignment: 64)
    defer {
      outgoing.deallocate()
      incoming.deallocate()
    }
    for place in 0..<receives.reduce(0, +) {
      let index = owner(of: Int(asked[place]), order: order, enqueued: enqueued).index
      arrays.read(index, into: outgoing + place * recordBytes)
    }
    try communicator.allToAll(
      outgoing, sendBytes: receives.map { $0 * recordBytes }, into: incoming,
      receiveBytes: sends.map { $0 * recordBytes }, counting: sizes.traffic)
    var next = sends.indices.map { sends[..<$0].reduce(0, +) }
    return QueueRows(count: slots.count, width: sizes.width) { row, rows in
      rows.write(row, record: incoming + next[owners[row]] * recordBytes)
      next[owners[row]] += 1
    }
  }

  /// Local.
  func enqueue(_ batch: QueueBatch) {
    let first = share.number(before: sizes.enqueued)
    batch.forEach(from: sizes.firstWritten - share.block.lowerBound) { row, vector, id, label in
      arrays.write(share.index(first + row), vector, id: id, label: label)
    }
  }

  // MARK: checkpoints

  /// Vectors, ids, labels.
  var state: [ScatteredRows] {
    [
      rows(.float32, arrays.vectors, sizes.width * MemoryLayout<Float>.size),
      rows(.int64, arrays.ids, MemoryLayout<Int64>.size), rows(.int64, arrays.labels, MemoryLayout<Int64>.size),
    ]
  }

  private func owners(_ rowBytes: Int, order: QueueOrder, enqueued: Int) -> RowOwners {
    RowOwners(communicator: sizes.communicator, count: sizes.capacity, rowBytes: rowBytes) {
      self.owner(of: $0, order: order, enqueued: enqueued)
    }
  }

  private func rows(
    _ element: ScatteredRows.Element, _ base: UnsafeMutableRawPointer, _ rowBytes: Int
  ) -> ScatteredRows {
    ScatteredRows(
      element, count: sizes.capacity, rowBytes: rowBytes, whole: nil,
      collect: { wanted, target throws(Failure) in
        try self.owners(rowBytes, order: self.order, enqueued: self.sizes.enqueued)
          .collect(wanted, from: base, into: target)
      },
      beginLoading: { () throws(Failure) in
        try self.sizes.checkCounters()
        // What is loaded counts as brought by batches that end where the counters stand.
        self.order = self.sizes.order
        self.share = self.order.share(of: self.sizes.communicator.rank)
      },
      store: { rows, source in
        for slot in rows {
          let (rank, index) = self.owner(of: slot, order: self.order, enqueued: self.sizes.enqueued)
          guard rank == self.sizes.communicator.rank else { continue }
          (base + index * rowBytes)
            .copyMemory(from: source + (slot - rows.lowerBound) * rowBytes, byteCount: rowBytes)
        }
      },
      endLoading: {},
      copied: {
        self.owners(rowBytes, order: self.order, enqueued: self.sizes.enqueued)
          .rows(element, of: RowCopy(base, bytes: self.room * rowBytes))
      })
  }
}
