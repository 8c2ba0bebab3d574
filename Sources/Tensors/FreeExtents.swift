/// The free parts of large pieces of memory.
///
/// A block is cut from the smallest part that holds it, and grows together with its free neighbours when it comes back.
/// So blocks of one size serve others later: with free lists by size, what the encoder's sizes had taken stood idle
/// while the decoder's were in use, a sixth of the pool.
struct FreeExtents {
  /// Where a part begins, and its length in bytes.
  struct Extent: Equatable {
    var start: UInt
    var bytes: Int
    var end: UInt { start + UInt(bytes) }
  }

  /// In rising order; no two touch.
  private(set) var extents: [Extent] = []

  /// Cuts `bytes` from the smallest part that holds them, from the lowest of equals; nil when none does.
  mutating func take(_ bytes: Int) -> UInt? {
    var best: Int?
    for place in extents.indices where extents[place].bytes >= bytes {
      if best.map({ extents[place].bytes < extents[$0].bytes }) ?? true { best = place }
    }
    guard let best else { return nil }
    let start = extents[best].start
    if extents[best].bytes == bytes {
      extents.remove(at: best)
    } else {
      extents[best] = Extent(start: start + UInt(bytes), bytes: extents[best].bytes - bytes)
    }
    return start
  }

  /// Takes the part that ends at `end`, if there is one.
  mutating func take(endingAt end: UInt) -> Extent? {
    guard let place = extents.firstIndex(where: { $0.end == end }) else { return nil }
    return extents.remove(at: place)
  }

  /// Takes back memory that is not free yet.
  mutating func give(_ extent: Extent) {
    guard extent.bytes > 0 else { return }
    var place = extents.firstIndex { $0.start > extent.start } ?? extents.count
    extents.insert(extent, at: place)
    if place > 0, extents[place - 1].end == extent.start {
      extents[place - 1].bytes += extent.bytes
      extents.remove(at: place)
      place -= 1
    }
    if place + 1 < extents.count, extents[place].end == extents[place + 1].start {
      extents[place].bytes += extents[place + 1].bytes
      extents.remove(at: place + 1)
    }
  }
}
