import Basics
import CKernels
import Synchronization

/// A row that was found, and its scalar product with the query.
package struct RowMatch: Equatable, BitwiseCopyable, Sendable {
  package var similarity: Float
  package var row: Int32

  package init(similarity: Float, row: Int32) {
    self.similarity = similarity
    self.row = row
  }

  /// What stands behind the last match of a list that is not full.
  package static let none = RowMatch(similarity: -.infinity, row: -1)

  /// The order of all lists: the larger similarity first, then the lower row.
  package func precedes(_ other: RowMatch) -> Bool {
    similarity > other.similarity || (similarity == other.similarity && row < other.row)
  }
}

/// The rows of a bank with the largest scalar products with some queries.
///
/// Every product is one chain of sums of the native product engine, whatever the plan says: its bits depend on the row
/// and the query alone, not on where they stand, how many there are, or who computes them. The bank streams through
/// once, past the packed queries; of a tile of products only those above the query's k-th best so far are looked at.
package struct RowSearch {
  /// Rows that stand one after the other in memory, with the number of the image each comes from.
  package struct Segment {
    package let rows: UnsafePointer<Float>
    package let ids: UnsafePointer<Int64>
    package let count: Int

    /// - Shapes: rows [count, d], ids [count]
    package init(rows: UnsafePointer<Float>, ids: UnsafePointer<Int64>, count: Int) {
      self.rows = rows
      self.ids = ids
      self.count = count
    }
  }

  /// What the similarity to a row of the query's own image counts as.
  package static let ownSimilarity: Float = -1

  /// Whole blocks of every instruction set.
  static let tileRows = 48

  let queries: Int, width: Int, k: Int
  let packed: PackedOperand
  let own: OwnQueries

  /// Packs the queries.
  /// - Parameters:
  ///   - ids: the number of each query's image; a negative one is no row's own.
  ///   - k: how many matches a query gets, at least 1.
  /// - Shapes: queries [m, d], m > 0; ids [m]
  package init(_ queries: Tensor, ids: [Int64], k: Int) {
    precondition(
      queries.shape.rank == 2 && queries.shape[0] == ids.count && !ids.isEmpty && k > 0,
      "RowSearch: queries \(queries.shape), \(ids.count) ids, k \(k)")
    (self.queries, width, self.k) = (ids.count, queries.shape[1], k)
    own = OwnQueries(ids)
    packed = PackedOperand(
      .init(base: queries.pointer, stride: queries.shape[1], isTransposed: true), n: ids.count, k: queries.shape[1])
    let packed = packed
    Team.split(packed.pieces) { packed.pack($0) }
  }

  /// The best rows of each query, in order; rows are counted through the segments. A list that cannot be filled, as of
  /// a query that is no number, ends with `none`.
  ///
  /// - Shapes: matches [m, k]
  package func run(over segments: [Segment], into matches: UnsafeMutablePointer<RowMatch>) {
    let threads = Team.threads
    let scan = RowScan(self, segments, threads: threads)
    Team.run { scan.work() }
    Team.split(queries) { range in
      for query in range { scan.join(query, into: matches + query * k) }
    }
  }

  /// Puts the entries of a list into another one of length k; both are in order.
  package static func merge(
    _ list: UnsafePointer<RowMatch>, count: Int, into best: UnsafeMutablePointer<RowMatch>, k: Int
  ) {
    for match in UnsafeBufferPointer(start: list, count: count) {
      guard match.row >= 0, best[k - 1].row < 0 || match.precedes(best[k - 1]) else { return }
      var place = k - 1
      while place > 0, best[place - 1].row < 0 || match.precedes(best[place - 1]) {
        best[place] = best[place - 1]
        place -= 1
      }
      best[place] = match
    }
  }
}

/// One pass over a bank by all threads of the team: each takes the next tile when it is free and keeps lists of its
/// own. A thread meets rows in rising order, so of equal products the first one stays.
private final class RowScan: @unchecked Sendable {
  private struct Tile {
    let rows: UnsafePointer<Float>
    let ids: UnsafePointer<Int64>
    let first: Int, count: Int
  }

  private let search: RowSearch
  private let tiles: [Tile]
  private let stride: Int
  private let next = Atomic<Int>(0), started = Atomic<Int>(0)
  private let threads: Int
  /// The lists of all threads, [threads, m, k] matches of two floats.
  private let memory: Tensor

  init(_ search: RowSearch, _ segments: [RowSearch.Segment], threads: Int) {
    self.search = search
    self.threads = threads
    stride = search.queries.roundedUp(to: 16)
    var tiles: [Tile] = []
    var first = 0
    for segment in segments {
      for start in Swift.stride(from: 0, to: segment.count, by: RowSearch.tileRows) {
        tiles.append(
          Tile(
            rows: segment.rows + start * search.width, ids: segment.ids + start, first: first + start,
            count: min(RowSearch.tileRows, segment.count - start)))
      }
      first += segment.count
    }
    self.tiles = tiles
    memory = Tensor(uninitialized: [threads, search.queries * search.k, 2])
  }

  private func lists(_ thread: Int) -> UnsafeMutablePointer<RowMatch> {
    UnsafeMutableRawPointer(memory.pointer + thread * search.queries * search.k * 2)
      .assumingMemoryBound(to: RowMatch.self)
  }

  /// Works until no tile is left. Every thread calls it once.
  func work() {
    let lists = lists(started.wrappingAdd(1, ordering: .relaxed).oldValue)
    lists.update(repeating: .none, count: search.queries * search.k)
    // Not by `fill`, which would deal it to the team that is at work here.
    let thresholds = Tensor(uninitialized: [stride])
    thresholds.pointer.update(repeating: -.infinity, count: stride)
    let scores = Tensor(uninitialized: [RowSearch.tileRows, stride])
    let foundMemory = Tensor(uninitialized: [RowSearch.tileRows, stride])
    let found = UnsafeMutableRawPointer(foundMemory.pointer).assumingMemoryBound(to: Int32.self)
    while true {
      let number = next.wrappingAdd(1, ordering: .relaxed).oldValue
      guard number < tiles.count else { return }
      let tile = tiles[number]
      search.packed.multiply(
        .init(base: tile.rows, stride: search.width, isTransposed: false), rows: 0..<tile.count, into: scores.pointer,
        stride: stride, accumulate: false)  // [rows, m]
      for row in 0..<tile.count {
        search.own.forEach(of: tile.ids[row]) { scores.pointer[row * stride + $0] = RowSearch.ownSimilarity }
      }
      let count = Kernels.table.pointee.find_above(
        scores.pointer, stride, thresholds.pointer, found, tile.count, search.queries)
      for place in UnsafeBufferPointer(start: found, count: count) {
        let (row, query) = Int(place).quotientAndRemainder(dividingBy: stride)
        insert(
          RowMatch(similarity: scores.pointer[Int(place)], row: Int32(tile.first + row)),
          into: lists + query * search.k,
          threshold: thresholds.pointer + query)
      }
    }
  }

  private func insert(
    _ match: RowMatch, into list: UnsafeMutablePointer<RowMatch>, threshold: UnsafeMutablePointer<Float>
  ) {
    guard match.similarity > threshold.pointee else { return }
    var place = search.k - 1
    while place > 0, list[place - 1].similarity < match.similarity {
      list[place] = list[place - 1]
      place -= 1
    }
    list[place] = match
    threshold.pointee = list[search.k - 1].similarity
  }

  /// The best of all threads' lists of one query.
  func join(_ query: Int, into matches: UnsafeMutablePointer<RowMatch>) {
    let k = search.k
    matches.update(from: lists(0) + query * k, count: k)
    for thread in 1..<max(threads, 1) {
      RowSearch.merge(lists(thread) + query * k, count: k, into: matches, k: k)
    }
  }
}

/// Which queries come from an image: a hash table with open addressing, since every row of a bank asks.
struct OwnQueries {
  private let keys: [Int64]
  /// The first query of a key, and for each query the next one with the same id; -1 for none.
  private let firsts: [Int32], others: [Int32]
  private let shift: UInt64

  init(_ ids: [Int64]) {
    var bits: UInt64 = 2
    while 1 << bits < 2 * ids.count { bits += 1 }
    shift = 64 - bits
    var keys = [Int64](repeating: -1, count: 1 << bits)
    var firsts = [Int32](repeating: -1, count: 1 << bits)
    var others = [Int32](repeating: -1, count: ids.count)
    for (query, id) in ids.enumerated() where id >= 0 {
      var place = OwnQueries.place(id, shift)
      while keys[place] >= 0, keys[place] != id { place = (place + 1) % keys.count }
      keys[place] = id
      others[query] = firsts[place]
      firsts[place] = Int32(query)
    }
    (self.keys, self.firsts, self.others) = (keys, firsts, others)
  }

  private static func place(_ id: Int64, _ shift: UInt64) -> Int {
    Int(truncatingIfNeeded: (UInt64(bitPattern: id) &* 0x9E37_79B9_7F4A_7C15) >> shift)
  }

  func forEach(of id: Int64, _ body: (Int) -> Void) {
    guard id >= 0 else { return }
    var place = OwnQueries.place(id, shift)
    while keys[place] >= 0 {
      if keys[place] == id {
        var query = firsts[place]
        while query >= 0 {
          body(Int(query))
          query = others[Int(query)]
        }
        return
      }
      place = (place + 1) % keys.count
    }
  }
}
