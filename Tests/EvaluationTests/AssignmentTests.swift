import Basics
import Evaluation
import TestKit
import XCTest

final class AssignmentTests: XCTestCase {
  func testSumsAreThoseOfSciPyForTablesOfAllSides() {
    let golden = Golden.load("cluster")
    for number in 0..<6 {
      let shape = golden.shape("table\(number)")
      let values = golden.ints("table\(number)")
      let counts = (0..<shape[0]).map { Array(values[$0 * shape[1]..<($0 + 1) * shape[1]]) }
      let map = assignment(maximising: counts)
      let partners = map.compactMap { $0 }
      XCTAssertEqual(Set(partners).count, min(shape[0], shape[1]), "one-to-one, and as many as there can be")
      XCTAssertEqual(partners.count, min(shape[0], shape[1]))
      let sum = zip(counts, map).reduce(0) { sum, pair in sum + (pair.1.map { pair.0[$0] } ?? 0) }
      XCTAssertEqual(sum, Int(golden.number("table\(number).sum")), "table \(number)")
    }
  }

  func testNoOrderOfASmallTableIsBetter() {
    var stream = RandomStream(seed: 3, purpose: .probe)
    for _ in 0..<40 {
      let counts = (0..<4).map { _ in (0..<4).map { _ in stream.integer(below: 5) } }
      let best = orders(of: [0, 1, 2, 3]).map { order in (0..<4).reduce(0) { $0 + counts[$1][order[$1]] } }.max()
      let map = assignment(maximising: counts)
      XCTAssertEqual((0..<4).reduce(0) { $0 + counts[$1][map[$1] ?? 0] }, best)
    }
  }

  func testAnEmptyTableHasNoPartners() {
    XCTAssertEqual(assignment(maximising: []), [])
    XCTAssertEqual(assignment(maximising: [[], []]), [nil, nil])
  }

  private func orders(of items: [Int]) -> [[Int]] {
    guard items.count > 1 else { return [items] }
    return items.flatMap { first in orders(of: items.filter { $0 != first }).map { [first] + $0 } }
  }
}
