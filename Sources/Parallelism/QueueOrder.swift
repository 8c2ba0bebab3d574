import Basics

/// Which sample stands in which slot, and which rank brought it: plain arithmetic over the number that a sample has
/// since the start.
///
/// Sample g goes to slot (offset + g) mod capacity, and the last `capacity` samples are there. A batch begins at `base`
/// and after every `globalBatch` samples; ranks bring blocks of it as `blockRange` cuts them. The rows of a new queue,
/// and those of a loaded one, are samples before `base`: batches of a past that was never sent.
struct QueueOrder: Equatable {
  let capacity: Int
  let globalBatch: Int
  let ranks: Int
  var offset = 0
  var base = 0

  func slot(ofSample g: Int) -> Int { wrapped(offset + g, capacity) }

  /// The sample in a slot when `enqueued` samples have been brought.
  func sample(inSlot slot: Int, after enqueued: Int) -> Int {
    enqueued - 1 - wrapped(enqueued - 1 - (slot - offset), capacity)
  }

  /// The rank that brought a sample.
  func rank(ofSample g: Int) -> Int { blockPart(of: wrapped(g - base, globalBatch), count: globalBatch, parts: ranks) }

  /// What a rank has of the samples.
  func share(of rank: Int) -> QueueShare {
    QueueShare(order: self, block: blockRange(count: globalBatch, part: rank, of: ranks))
  }
}

/// The samples of one rank, counted in their order: number 0 is the first one at or after `base`.
struct QueueShare {
  let order: QueueOrder
  /// This rank's places in a batch.
  let block: Range<Int>

  /// The most samples of this rank among `capacity` in a row: the length of the ring that holds them.
  var room: Int {
    let (batches, rest) = order.capacity.quotientAndRemainder(dividingBy: order.globalBatch)
    return batches * block.count + min(block.count, rest)
  }

  /// How many of this rank's samples stand between `base` and sample g; negative when g comes before.
  func number(before g: Int) -> Int {
    let place = wrapped(g - order.base, order.globalBatch)
    let batch = (g - order.base - place) / order.globalBatch
    return batch * block.count + min(max(place - block.lowerBound, 0), block.count)
  }

  /// The sample with a number.
  func sample(_ number: Int) -> Int {
    let place = wrapped(number, block.count)
    return order.base + (number - place) / block.count * order.globalBatch + block.lowerBound + place
  }

  /// Where a sample with a number stands in the ring.
  func index(_ number: Int) -> Int { wrapped(number, room) }

  /// The numbers of this rank's live samples in the order of their slots, after `enqueued` samples of all ranks.
  func liveNumbers(after enqueued: Int) -> [Range<Int>] {
    let pointer = order.slot(ofSample: enqueued)
    let (oldest, slotZero) = (enqueued - order.capacity, enqueued - pointer)
    return [
      number(before: slotZero)..<number(before: enqueued), number(before: oldest)..<number(before: slotZero),
    ]
  }
}

/// The remainder in 0 ..< n, of negative numbers too.
func wrapped(_ x: Int, _ n: Int) -> Int {
  let rest = x % n
  return rest < 0 ? rest + n : rest
}
