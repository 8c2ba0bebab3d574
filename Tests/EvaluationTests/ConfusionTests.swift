import Evaluation
import XCTest

final class ConfusionTests: XCTestCase {
  func testColumnsStandWhereTheirClassesStand() {
    let table = Contingency(counts: [[1, 2, 0], [3, 0, 0], [0, 1, 3]])
    let map = table.clustersOfClasses
    XCTAssertEqual(map, [1, 0, 2])
    let confusion = Confusion(table, clustersOfClasses: map)
    XCTAssertEqual(confusion.counts, [[2, 1, 0], [0, 3, 0], [1, 0, 3]])
    XCTAssertEqual(confusion.counts.map { $0.reduce(0, +) }, table.classSizes)
    XCTAssertEqual(confusion.trace, table.matches(map))
    XCTAssertEqual(
      confusion.csv(classNames: ["disk", "a, b", "ring"]),
      "class,cluster 1,cluster 0,cluster 2\ndisk,2,1,0\n\"a, b\",0,3,0\nring,1,0,3\n")
  }

  func testClassesWithoutAClusterAndClustersWithoutAClassKeepTheirPoints() {
    let fewer = Contingency(counts: [[4, 0], [3, 1], [0, 5]])
    let narrow = Confusion(fewer, clustersOfClasses: fewer.clustersOfClasses)
    XCTAssertEqual(narrow.clusters, [0, nil, 1])
    XCTAssertEqual(narrow.counts, [[4, 0, 0], [3, 0, 1], [0, 0, 5]])
    XCTAssertEqual(narrow.trace, 9)
    let more = Contingency(counts: [[1, 0, 2], [0, 4, 0]])
    let wide = Confusion(more, clustersOfClasses: more.clustersOfClasses)
    XCTAssertEqual(wide.clusters, [2, 1, 0])
    XCTAssertEqual(wide.counts, [[2, 0, 1], [0, 4, 0]])
    XCTAssertEqual(wide.counts.map { $0.reduce(0, +) }, more.classSizes)
  }
}
