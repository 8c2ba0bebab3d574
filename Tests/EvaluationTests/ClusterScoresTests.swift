import Basics
import Evaluation
import TestKit
import XCTest

final class ClusterScoresTests: XCTestCase {
  private let golden = Golden.load("cluster")

  private func table(_ name: String) -> Contingency {
    table(golden.ints("\(name).labels"), golden.ints("\(name).clusters"))
  }

  private func table(_ labels: [Int], _ clusters: [Int]) -> Contingency {
    Contingency(
      labels: labels.map(Int32.init), clusters: clusters.map(Int32.init), classes: (labels.max() ?? 0) + 1,
      clusterCount: (clusters.max() ?? 0) + 1)
  }

  func testTheTableByHand() {
    let table = table("hand")
    XCTAssertEqual(table.counts, [[1, 2, 0], [3, 0, 0], [0, 1, 3]])
    XCTAssertEqual(table.matches(table.clustersOfClasses), 8)
    XCTAssertEqual(table.mutualInformation, 0.673012, accuracy: 5e-7)
    XCTAssertEqual(table.expectedMutualInformation, 0.293261, accuracy: 5e-7)
    XCTAssertEqual(table.normalizedMutualInformation, 0.618066, accuracy: 5e-7)
    XCTAssertEqual(table.adjustedMutualInformation, 0.477290, accuracy: 5e-7)
    XCTAssertEqual(table.adjustedRandIndex, 0.431818, accuracy: 5e-7)
    XCTAssertEqual(self.table("hand4").matches(self.table("hand4").clustersOfClasses), 8)
  }

  func testScoresAreThoseOfScikitLearn() {
    let names = golden.keys.filter { $0.hasSuffix(".scores") }.map { String($0.dropLast(7)) }
    XCTAssertEqual(names.count, 13)
    for name in names {
      let table = table(name)
      XCTAssertEqual(table.matches(table.clustersOfClasses), Int(golden.number("\(name).matches")), name)
      let scores = [
        table.mutualInformation, table.expectedMutualInformation, table.normalizedMutualInformation,
        table.adjustedMutualInformation, table.adjustedRandIndex,
      ]
      for (score, expected) in zip(scores, golden.doubles("\(name).scores")) {
        XCTAssertEqual(score, expected, accuracy: 1e-9, name)
      }
    }
  }

  func testNamesOfClustersAndTheTwoSidesCanBeExchanged() {
    let (labels, clusters) = (golden.ints("more.labels"), golden.ints("more.clusters"))
    let count = (clusters.max() ?? 0) + 1
    var stream = RandomStream(seed: 1, purpose: .probe)
    let names = stream.permutation(count).map(Int.init)
    let (given, renamed) = (table(labels, clusters), table(labels, clusters.map { names[$0] }))
    let swapped = table(clusters, labels)
    for other in [renamed, swapped] {
      XCTAssertEqual(other.matches(other.clustersOfClasses), given.matches(given.clustersOfClasses))
      XCTAssertEqual(other.normalizedMutualInformation, given.normalizedMutualInformation, accuracy: 1e-12)
      XCTAssertEqual(other.adjustedMutualInformation, given.adjustedMutualInformation, accuracy: 1e-12)
      XCTAssertEqual(other.adjustedRandIndex, given.adjustedRandIndex, accuracy: 1e-12)
    }
  }

  func testAccuracyIsAtLeastOneOfKAndThatOfTheLargestClassForOneCluster() {
    var stream = RandomStream(seed: 2, purpose: .probe)
    for _ in 0..<20 {
      let labels = (0..<60).map { $0 % 6 }
      let table = table(labels, labels.map { _ in stream.integer(below: 6) })
      XCTAssertGreaterThanOrEqual(table.matches(table.clustersOfClasses), 10)
    }
    let constant = table([0, 0, 0, 1, 1, 2], [0, 0, 0, 0, 0, 0])
    XCTAssertEqual(constant.matches(constant.clustersOfClasses), 3)
    XCTAssertEqual(constant.adjustedRandIndex, 0)
    XCTAssertEqual(constant.adjustedMutualInformation, 0)
  }

  func testAdjustedScoresOfChanceAreZeroOnAverage() {
    var stream = RandomStream(seed: 5, purpose: .probe)
    let labels = (0..<200).map { $0 % 5 }
    let tables = (0..<100).map { _ in table(labels, labels.map { _ in stream.integer(below: 5) }) }
    for scores in [tables.map(\.adjustedRandIndex), tables.map(\.adjustedMutualInformation)] {
      let mean = scores.reduce(0, +) / 100
      let deviation = (scores.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 99).squareRoot()
      XCTAssertLessThan(abs(mean), 3 * deviation / 10, "three standard errors")
      XCTAssertGreaterThan(deviation, 0)
    }
    let plain = tables.map(\.normalizedMutualInformation).reduce(0, +) / 100
    XCTAssertGreaterThan(plain, 0.02, "what the adjustment takes away")
  }
}
