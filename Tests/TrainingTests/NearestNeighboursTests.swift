import Basics
import TestKit
import XCTest

@testable import Training

final class NearestNeighboursTests: XCTestCase {
  private let width = 12

  /// The vote in double, one query at a time, without tiles.
  private func slowPredictions(
    bank: [Float], labels: [Int32], queries: [Float], k: Int, temperature: Double
  ) -> [Int32] {
    func unit(_ rows: [Float], _ row: Int) -> [Double] {
      let values = rows[row * width..<(row + 1) * width].map(Double.init)
      let norm = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
      return values.map { $0 / max(norm, 1e-12) }
    }
    func similarity(_ a: [Double], _ b: [Double]) -> Double {
      var sum = 0.0
      for (x, y) in zip(a, b) { sum += x * y }
      return sum
    }
    var predictions: [Int32] = []
    for q in 0..<queries.count / width {
      let query = unit(queries, q)
      let scored: [(similarity: Double, row: Int)] = labels.indices.map { (similarity(query, unit(bank, $0)), $0) }
      let nearest = scored.sorted { a, b in
        a.similarity == b.similarity ? a.row < b.row : a.similarity > b.similarity
      }
      var votes = [Double](repeating: 0, count: 10)
      for entry in nearest.prefix(k) { votes[Int(labels[entry.row])] += exp(entry.similarity / temperature) }
      predictions.append(Int32(votes.firstIndex(of: votes.max() ?? 0) ?? 0))
    }
    return predictions
  }

  func testVotesEqualTheSlowTranscription() {
    for (count, queries) in [(5, 3), (300, 70), (1100, 130)] {
      let bank = ExactRandom.floats(count * width, seed: 1)
      let labels = (0..<count).map { Int32($0 % 5) }
      let asked = ExactRandom.floats(queries * width, seed: 2)
      let search = NearestNeighbours(features: bank, width: width, labels: labels)
      for k in [1, 5, 20] {
        let found = search.predictions(search.nearest(asked, k: k), k: k, temperature: 0.07)
        XCTAssertEqual(
          found, slowPredictions(bank: bank, labels: labels, queries: asked, k: k, temperature: 0.07), "k = \(k)")
      }
    }
  }

  func testEveryBankRowFindsItselfFirst() {
    let bank = ExactRandom.floats(90 * width, seed: 3)
    let search = NearestNeighbours(features: bank, width: width, labels: (0..<90).map { Int32($0) })
    XCTAssertEqual(search.nearest(bank, k: 1).map { $0[0].index }, Array(0..<90))
  }

  func testScaleOfFeaturesDoesNotMatter() {
    let bank = ExactRandom.floats(64 * width, seed: 4)
    let queries = ExactRandom.floats(10 * width, seed: 5)
    let labels = (0..<64).map { Int32($0 % 3) }
    let plain = NearestNeighbours(features: bank, width: width, labels: labels)
    let scaled = NearestNeighbours(features: bank.map { 8 * $0 }, width: width, labels: labels)
    XCTAssertEqual(
      plain.predictions(plain.nearest(queries, k: 7), k: 7, temperature: 0.07),
      scaled.predictions(scaled.nearest(queries.map { 0.25 * $0 }, k: 7), k: 7, temperature: 0.07))
  }

  func testStandardisedFeaturesForgetOffsetAndScaleOfEveryDimension() {
    let bank = ExactRandom.floats(64 * width, seed: 6)
    let queries = ExactRandom.floats(20 * width, seed: 7)
    let labels = (0..<64).map { Int32($0 % 4) }
    func moved(_ x: [Float]) -> [Float] {
      x.enumerated().map { place, value in Float(place % width) + value * Float(1 + place % width) }
    }
    let plain = NearestNeighbours(features: bank, width: width, labels: labels, standardise: true)
    let other = NearestNeighbours(features: moved(bank), width: width, labels: labels, standardise: true)
    XCTAssertEqual(
      plain.nearest(queries, k: 5).map { $0.map(\.index) }, other.nearest(moved(queries), k: 5).map { $0.map(\.index) })
    let raw = NearestNeighbours(features: moved(bank), width: width, labels: labels)
    XCTAssertNotEqual(
      plain.nearest(queries, k: 5).map { $0.map(\.index) }, raw.nearest(moved(queries), k: 5).map { $0.map(\.index) })
  }

  func testHealthTellsCollapseFromSpread() {
    let collapsed = FeatureHealth(
      features: (0..<50).flatMap { _ in [Float](repeating: 1, count: width) }, width: width)
    XCTAssertEqual(collapsed.standardDeviation, 0, accuracy: 1e-6)
    XCTAssertEqual(collapsed.effectiveRank, 1, accuracy: 1e-2)
    let axes = (0..<width * 20).flatMap { row in (0..<width).map { Float($0 == row % width ? 1 : 0) } }
    let spread = FeatureHealth(features: axes, width: width)
    XCTAssertEqual(spread.effectiveRank, Double(width), accuracy: 1e-3)
    XCTAssertGreaterThan(spread.standardDeviation, 0.2)
  }
}
