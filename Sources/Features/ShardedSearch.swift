import Basics
import Messaging
import Tensors

/// A row of a bank that is near to a query.
public struct Neighbour: Equatable, Sendable {
  /// The scalar product of the two.
  public let similarity: Float
  /// The row's number in the bank, over all ranks.
  public let index: Int
  /// The row's label.
  public let label: Int32

  /// A neighbour.
  public init(similarity: Float, index: Int, label: Int32) {
    self.similarity = similarity
    self.index = index
    self.label = label
  }
}

/// The rows of a bank with the largest scalar products with some queries. Every rank holds a part of the bank and none
/// holds more: queries go to all ranks in tiles, and the candidates come back to the rank that asked.
///
/// Similarities are those of `RowSearch`, whose bits depend on the two vectors alone: the same neighbours for any number
/// of ranks, threads and any size of tile.
/// - Source: spec/evaluation.md 1.4.
public struct ShardedSearch {
  /// Queries of all ranks that pass the bank together: enough that reading the bank costs little beside the products,
  /// and few enough that packed queries of width 768 stay in a second-level cache.
  static let queryTile = 1024
  /// The most matches that a rank collects for a tile: long lists make tiles shorter.
  static let tileMatches = 1 << 22

  private let bank: FeatureSet
  private let communicator: Communicator

  /// A search among the rows as they are: normalise them first for cosines.
  ///
  /// - Shapes: bank.rows [n of this rank, D]
  public init(bank: FeatureSet, communicator: Communicator) {
    precondition(bank.rows.shape.rank == 2, "ShardedSearch: a bank of shape \(bank.rows.shape)")
    self.bank = bank
    self.communicator = communicator
  }

  /// The `k` nearest rows of each of this rank's queries: similarity descending, then number ascending. All rows when the
  /// bank has fewer. A row that is not a number is nobody's neighbour, and a query that is none has no neighbours.
  ///
  /// - Parameter selfExclude: leaves out the row with the query's own image, by `FeatureSet.indices`.
  /// - Shapes: queries.rows [q of this rank, D] -> q lists
  /// - Throws: what the MPI library reported.
  /// - Collective: all ranks.
  public func nearest(_ queries: FeatureSet, k: Int, selfExclude: Bool = false) throws(Failure) -> [[Neighbour]] {
    precondition(
      queries.rows.shape.rank == 2 && queries.width == bank.width && k > 0,
      "nearest: \(k) of queries \(queries.rows.shape) in a bank \(bank.rows.shape)")
    let asked = min(selfExclude ? k + 1 : k, bank.count)
    let ranks = communicator.size
    let counts = try communicator.exchange([Int](repeating: queries.range.count, count: ranks))
    let share = max(min(ShardedSearch.queryTile, ShardedSearch.tileMatches / max(asked, 1)) / ranks, 1)
    var lists: [[Neighbour]] = []
    lists.reserveCapacity(queries.range.count)
    for first in stride(from: 0, to: counts.max() ?? 0, by: share) {
      let parts = counts.map { min(max($0 - first, 0), share) }
      let start = min(first, queries.range.count)
      let rows = start..<start + parts[communicator.rank]
      let found = try matches(queries.rows.rows(rows), parts, asked)
      for row in rows {
        let list = found[(row - start) * asked..<(row - start + 1) * asked].lazy.filter { $0.row >= 0 }.map {
          Neighbour(similarity: $0.similarity, index: Int($0.row), label: bank.labels[Int($0.row)])
        }
        let own = selfExclude ? queries.indices[queries.range.lowerBound + row] : nil
        lists.append(Array(list.filter { bank.indices[$0.index] != own }.prefix(k)))
      }
    }
    return lists
  }

  /// The matches of this rank's part of a tile; `parts` says how many queries each rank has in it.
  ///
  /// - Shapes: queries [parts[rank], D] -> [parts[rank], k]
  /// - Collective: all ranks.
  private func matches(_ queries: Tensor, _ parts: [Int], _ k: Int) throws(Failure) -> [RowMatch] {
    let (width, own, listBytes) = (bank.width, parts[communicator.rank], k * MemoryLayout<RowMatch>.stride)
    let tile = Tensor(uninitialized: [parts.reduce(0, +), width])
    try communicator.allGather(
      queries.pointer, bytes: parts.map { $0 * width * MemoryLayout<Float>.size }, into: tile.pointer)
    var candidates = localMatches(tile, k)  // [queries of all ranks, k]
    var received = [RowMatch](repeating: .none, count: communicator.size * own * k)
    try communicator.allToAll(
      &candidates, sendBytes: parts.map { $0 * listBytes }, into: &received,
      receiveBytes: parts.map { _ in own * listBytes })
    var best = [RowMatch](repeating: .none, count: own * k)
    received.withUnsafeBufferPointer { received in
      best.withUnsafeMutableBufferPointer { best in
        guard let source = received.baseAddress, let target = best.baseAddress else { return }
        for rank in 0..<communicator.size {
          for query in 0..<own {
            RowSearch.merge(source + (rank * own + query) * k, count: k, into: target + query * k, k: k)
          }
        }
      }
    }
    return best
  }

  /// The matches among this rank's rows, by their numbers in the whole bank.
  ///
  /// - Shapes: queries [m, D] -> [m, k]
  private func localMatches(_ queries: Tensor, _ k: Int) -> [RowMatch] {
    let count = queries.shape[0]
    var matches = [RowMatch](repeating: .none, count: count * k)
    guard count > 0, !bank.range.isEmpty else { return matches }
    // No row counts as a query's own here: one block of such numbers serves all segments.
    let nobody = [Int64](repeating: -1, count: min(bank.range.count, 48 * 1024))
    matches.withUnsafeMutableBufferPointer { matches in
      nobody.withUnsafeBufferPointer { nobody in
        guard let target = matches.baseAddress, let ids = nobody.baseAddress else { return }
        let segments = stride(from: 0, to: bank.range.count, by: nobody.count).map { start in
          RowSearch.Segment(
            rows: bank.rows.pointer + start * bank.width, ids: ids,
            count: min(nobody.count, bank.range.count - start))
        }
        RowSearch(queries, ids: [Int64](repeating: -1, count: count), k: k).run(over: segments, into: target)
        for place in matches.indices where matches[place].row >= 0 {
          matches[place].row += Int32(bank.range.lowerBound)
        }
      }
    }
    return matches
  }
}
