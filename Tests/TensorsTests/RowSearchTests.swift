import Basics
import TestKit
import XCTest

@testable import Tensors

final class RowSearchTests: XCTestCase {
  /// A bank with equal rows, zeros, and queries that are no numbers.
  private func bank(_ rows: Int, _ width: Int, seed: UInt64) -> Tensor {
    let bank = tensor([rows, width], seed: seed)
    for row in stride(from: 7, to: rows, by: 11) { bank.rows(row..<row + 1).assign(bank.rows(row - 7..<row - 6)) }
    return bank
  }

  private func found(
    _ queries: Tensor, _ ids: [Int64], _ bank: Tensor, _ bankIDs: [Int64], k: Int, cuts: [Int] = []
  ) -> [[RowMatch]] {
    var matches = [RowMatch](repeating: .none, count: ids.count * k)
    let edges = [0] + cuts + [bankIDs.count]
    bankIDs.withUnsafeBufferPointer { numbers in
      guard let base = numbers.baseAddress else { return }
      let segments = zip(edges, edges.dropFirst()).map { start, end in
        RowSearch.Segment(
          rows: bank.pointer + start * bank.shape[1], ids: base + start, count: end - start)
      }
      matches.withUnsafeMutableBufferPointer { matches in
        guard let target = matches.baseAddress else { return }
        RowSearch(queries, ids: ids, k: k).run(over: segments, into: target)
      }
    }
    return ids.indices.map { Array(matches[$0 * k..<($0 + 1) * k]) }
  }

  /// Every product by itself: a bank of one row, a search for one query.
  private func similarity(_ query: Tensor, _ row: Tensor) -> Float {
    let match = found(query, [-1], row, [-1], k: 1)[0][0]
    return match.row < 0 ? -.infinity : match.similarity
  }

  /// All products, sorted.
  private func expected(
    _ query: Tensor, _ id: Int64, _ bank: Tensor, _ bankIDs: [Int64], k: Int
  ) -> [RowMatch] {
    let all = bankIDs.indices.map { row in
      RowMatch(
        similarity: id >= 0 && id == bankIDs[row] ? -1 : similarity(query, bank.rows(row..<row + 1)), row: Int32(row))
    }
    let best = all.filter { $0.similarity > -.infinity }.sorted { $0.precedes($1) }.prefix(k)
    return best + [RowMatch](repeating: .none, count: k - best.count)
  }

  func testListsAreThoseOfASortOfEveryProduct() {
    onEverySet { set in
      for (rows, width, queries, k) in [
        (1, 5, 1, 1), (50, 16, 3, 7), (97, 33, 17, 97), (240, 8, 50, 20), (60, 600, 2, 5),
      ] {
        let (bank, x) = (bank(rows, width, seed: 1), tensor([queries, width], seed: 2))
        let bankIDs = (0..<rows).map { Int64($0 % 5 == 0 ? -1 : $0 % 13) }
        let ids = (0..<queries).map { Int64($0 % 4 == 3 ? -1 : $0 % 6) }
        for cuts in [[], [rows / 3, rows / 3, rows / 2]] {
          let lists = found(x, ids, bank, bankIDs, k: k, cuts: cuts)
          for query in 0..<queries {
            XCTAssertEqual(
              lists[query], expected(x.rows(query..<query + 1), ids[query], bank, bankIDs, k: k),
              "\(set) \((rows, width, queries, k)) query \(query)")
          }
        }
      }
    }
  }

  func testProductsAreRight() {
    onEverySet { set in
      let (bank, x) = (tensor([70, 37], seed: 3), tensor([5, 37], seed: 4))
      let lists = found(x, [-1, -1, -1, -1, -1], bank, [Int64](repeating: -1, count: 70), k: 70)
      let (b, q) = (rows(bank.array, 37), rows(x.array, 37))
      for query in 0..<5 {
        for match in lists[query] {
          let sum = zip(b[Int(match.row)], q[query]).reduce(0) { $0 + $1.0 * $1.1 }
          XCTAssertEqual(Double(match.similarity), sum, accuracy: 1e-5, "\(set)")
        }
        XCTAssertEqual(Set(lists[query].map(\.row)).count, 70)
      }
    }
  }

  func testTheSameBitsForEveryNumberOfThreadsAndEngine() throws {
    let (bank, x) = (bank(1000, 48, seed: 5), tensor([130, 48], seed: 6))
    let bankIDs = (0..<1000).map { Int64($0 % 300) }
    let ids = (0..<130).map { Int64($0) }
    let usual = ProductEngine.plan
    let once = found(x, ids, bank, bankIDs, k: 12)
    defer { ThreadTeam.configure(threads: 1) }
    for threads in [2, 3, 5] {
      ThreadTeam.configure(threads: threads)
      XCTAssertEqual(found(x, ids, bank, bankIDs, k: 12), once, "\(threads) threads")
    }
    try ProductEngine.use(.openblas)
    defer { XCTAssertNoThrow(try ProductEngine.use(usual)) }
    XCTAssertEqual(found(x, ids, bank, bankIDs, k: 12), once, "with another engine for products")
  }

  func testEqualRowsComeInTheirOrder() {
    onEverySet { set in
      let bank = Tensor(repeating: 0.25, [200, 16])
      let lists = found(
        Tensor(repeating: 0.25, [2, 16]), [-1, 3], bank, (0..<200).map { Int64($0 % 10) }, k: 9, cuts: [64, 130])
      XCTAssertEqual(lists[0].map(\.row), Array(0..<9), "\(set)")
      XCTAssertEqual(lists[1].map(\.row), [0, 1, 2, 4, 5, 6, 7, 8, 9], "\(set)")
    }
  }

  func testWhatIsNoNumberIsNotFound() {
    onEverySet { set in
      let bank = tensor([60, 16], seed: 8)
      bank.pointer[16 * 5] = .nan
      let x = tensor([3, 16], seed: 9)
      x.pointer[16] = .nan
      let ids: [Int64] = [-1, 4, -1]
      let lists = found(x, ids, bank, (0..<60).map { Int64($0) }, k: 60)
      XCTAssertEqual(lists[0].filter { $0.row >= 0 }.count, 59, "\(set)")
      XCTAssertFalse(lists[0].contains { $0.row == 5 }, "\(set)")
      // Only the own row of the query that is no number has a similarity.
      XCTAssertEqual(lists[1][0], RowMatch(similarity: -1, row: 4), "\(set)")
      XCTAssertEqual(lists[1][1], .none, "\(set)")
      XCTAssertEqual(lists[2].filter { $0.row >= 0 }.count, 59, "\(set)")
    }
  }

  func testFindAbove() {
    onEverySet { set in
      for columns in oddWidths {
        let stride = (columns + 15) / 16 * 16
        let scores = tensor([5, stride], seed: 11)
        scores.pointer[0] = .nan
        let limits = tensor([stride], seed: 12)
        let (values, thresholds) = (scores.array, limits.array)
        var found = [Int32](repeating: 0, count: 5 * stride)
        let count = Kernels.table.pointee.find_above(scores.pointer, stride, limits.pointer, &found, 5, columns)
        let expected = (0..<5).flatMap { row in
          (0..<columns).map { (row * stride + $0, $0) }.filter { values[$0.0] > thresholds[$0.1] }.map { Int32($0.0) }
        }
        XCTAssertEqual(Array(found[..<count]), expected, "\(set) \(columns)")
      }
    }
  }

  func testMergedListsAreInOrder() {
    let lists: [[RowMatch]] = [
      [.init(similarity: 0.5, row: 9), .init(similarity: 0.25, row: 1), .none],
      [.init(similarity: 0.5, row: 3), .init(similarity: 0.5, row: 4), .init(similarity: 0.5, row: 12)],
      [.none, .none, .none], [.init(similarity: 0.75, row: 0), .none, .none],
    ]
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
      var best = [RowMatch](repeating: .none, count: 3)
      for number in order { RowSearch.merge(lists[number], count: 3, into: &best, k: 3) }
      XCTAssertEqual(best.map(\.row), [0, 3, 4], "\(order)")
    }
  }
}
