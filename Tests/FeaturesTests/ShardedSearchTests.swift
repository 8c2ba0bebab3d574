import Basics
import Features
import TestKit
import Tensors
import XCTest

/// On every rank of the start: 1, 2, 3 and 4 in turn.
final class ShardedSearchTests: XCTestCase {
  /// Small whole numbers: products are exact, and many are equal.
  private func wholeNumbers(_ count: Int, _ width: Int, seed: UInt64) -> [Float] {
    ExactRandom.floats(count * width, seed: seed).map { (3 * $0).rounded() }
  }

  private func labels(_ count: Int) -> [Int32] { (0..<count).map { Int32($0 * 7 % 5) } }

  /// The search as a sort of every product.
  private func slow(
    _ bank: [Float], _ queries: [Float], _ width: Int, query: Int, k: Int, without own: Int? = nil
  ) -> [Neighbour] {
    let rows = bank.count / width
    let all = (0..<rows).filter { $0 != own }.map { row -> Neighbour in
      var sum: Float = 0
      for d in 0..<width { sum += bank[row * width + d] * queries[query * width + d] }
      return Neighbour(similarity: sum, index: row, label: labels(rows)[row])
    }
    return Array(
      all.sorted { $0.similarity > $1.similarity || ($0.similarity == $1.similarity && $0.index < $1.index) }.prefix(k))
  }

  func testNeighboursAreThoseOfASortOfEveryProduct() throws {
    let communicator = try sharedCommunicator()
    for (count, asked, width, k) in [(1, 1, 3, 1), (3, 2, 4, 5), (60, 1, 4, 7), (97, 33, 5, 20), (50, 1100, 2, 3)] {
      let bank = wholeNumbers(count, width, seed: 1)
      let queries = wholeNumbers(asked, width, seed: 2)
      let search = ShardedSearch(
        bank: FeatureSet(dealing: Tensor(bank, [count, width]), labels: labels(count), to: communicator),
        communicator: communicator)
      let own = FeatureSet(dealing: Tensor(queries, [asked, width]), labels: labels(asked), to: communicator)
      let found = try search.nearest(own, k: k)
      XCTAssertEqual(found.count, own.range.count)
      for (list, query) in zip(found, own.range) where asked < 100 || query % 17 == 0 {
        XCTAssertEqual(
          list, slow(bank, queries, width, query: query, k: k), "\((count, asked, width, k)) query \(query)")
      }
    }
  }

  func testTheOwnImageIsLeftOut() throws {
    let communicator = try sharedCommunicator()
    let (count, width) = (41, 3)
    let rows = wholeNumbers(count, width, seed: 3)
    let set = FeatureSet(dealing: Tensor(rows, [count, width]), labels: labels(count), to: communicator)
    let search = ShardedSearch(bank: set, communicator: communicator)
    for k in [1, 6, 100] {
      for (list, query) in zip(try search.nearest(set, k: k, selfExclude: true), set.range) {
        XCTAssertEqual(list, slow(rows, rows, width, query: query, k: k, without: query), "k \(k), query \(query)")
      }
    }
    // Images keep their numbers when the queries are a part of the bank: here every third one, backwards.
    let part = stride(from: count - 1, through: 0, by: -3).map { $0 }
    let picked = FeatureSet(
      dealing: Tensor(part.flatMap { rows[$0 * width..<($0 + 1) * width] }, [part.count, width]),
      labels: part.map { labels(count)[$0] }, to: communicator)
    let queries = FeatureSet(
      rows: picked.rows, range: picked.range, labels: picked.labels, indices: part.map(Int64.init))
    for (list, query) in zip(try search.nearest(queries, k: 4, selfExclude: true), queries.range) {
      XCTAssertEqual(list, slow(rows, rows, width, query: part[query], k: 4, without: part[query]))
    }
  }

  /// Every similarity has the bits of a search of one query in a bank of one row, wherever the two stand.
  func testBitsDoNotDependOnRanksOrTiles() throws {
    let communicator = try sharedCommunicator()
    let (count, asked, width) = (130, 29, 67)
    let bank = Tensor(ExactRandom.floats(count * width, seed: 4), [count, width])
    let queries = Tensor(ExactRandom.floats(asked * width, seed: 5), [asked, width])
    let own = FeatureSet(dealing: queries, labels: labels(asked), to: communicator)
    let lists = try ShardedSearch(
      bank: FeatureSet(dealing: bank, labels: labels(count), to: communicator), communicator: communicator
    ).nearest(own, k: 9)
    for (list, query) in zip(lists, own.range) {
      for neighbour in list {
        var match = RowMatch.none
        [Int64(-1)].withUnsafeBufferPointer { id in
          guard let id = id.baseAddress else { return }
          RowSearch(queries.rows(query..<query + 1), ids: [-1], k: 1).run(
            over: [.init(rows: bank.pointer + neighbour.index * width, ids: id, count: 1)], into: &match)
        }
        XCTAssertEqual(neighbour.similarity.bitPattern, match.similarity.bitPattern)
      }
    }
  }

  func testWhatIsNotANumberIsNotFound() throws {
    let communicator = try sharedCommunicator()
    let bank = Tensor(wholeNumbers(20, 4, seed: 6), [20, 4])
    bank.pointer[4 * 11] = .nan
    let queries = Tensor(wholeNumbers(5, 4, seed: 7), [5, 4])
    queries.pointer[4 * 3 + 1] = .nan
    let own = FeatureSet(dealing: queries, labels: labels(5), to: communicator)
    let set = FeatureSet(dealing: bank, labels: labels(20), to: communicator)
    for (list, query) in zip(
      try ShardedSearch(bank: set, communicator: communicator).nearest(own, k: 20), own.range)
    {
      XCTAssertEqual(list.count, query == 3 ? 0 : 19)
      XCTAssertFalse(list.contains { $0.index == 11 })
    }
    XCTAssertThrowsError(try set.requireNumbers(communicator)) { error in
      XCTAssertEqual((error as? Failure)?.code, .nonFinite)
      XCTAssertTrue("\(error)".contains("image 11 "), "\(error)")
    }
    XCTAssertNoThrow(
      try FeatureSet(dealing: Tensor(zeros: [20, 4]), labels: labels(20), to: communicator)
        .requireNumbers(communicator))
  }

  /// A rank holds its part of the bank and, beside it, the scratch of a tile: counted, not estimated.
  func testARankHoldsItsPartOfTheBankAndNoMore() throws {
    let communicator = try sharedCommunicator()
    let (count, width) = (60_000, 128)
    let range = blockRange(count: count, part: communicator.rank, of: communicator.size)
    let before = StoragePool.bytesInUse
    StoragePool.restartPeak()  // of earlier tests
    let rows = Tensor(zeros: [range.count, width])
    for row in 0..<range.count { rows.pointer[row * width + row % width] = Float(range.lowerBound + row) }
    let bank = FeatureSet(rows: rows, range: range, labels: [Int32](repeating: 0, count: count))
    let queries = FeatureSet(
      dealing: Tensor(repeating: 1, [8, width]), labels: [Int32](repeating: 0, count: 8), to: communicator)
    for list in try ShardedSearch(bank: bank, communicator: communicator).nearest(queries, k: 3) {
      XCTAssertEqual(list.map(\.index), [59_999, 59_998, 59_997])
    }
    let share = (count + communicator.size - 1) / communicator.size * width * MemoryLayout<Float>.size
    // Blocks of the pool are up to a 32nd too large.
    XCTAssertLessThan(StoragePool.peakBytes - before, share * 33 / 32 + (1 << 20))
  }
}
