import Basics
import Features
import TestKit
import Tensors
import XCTest

/// On every rank of the start: 1, 2, 3 and 4 in turn.
final class VoteTests: XCTestCase {
  private let width = 12

  /// The neighbours of this rank's queries by cosine, and the vote on them.
  private func predictions(
    bank: [Float], labels: [Int32], queries: [Float], k: Int, vote: Vote, standardise: Bool = false
  ) throws -> (range: Range<Int>, neighbours: [[Neighbour]], classes: [Int32]) {
    let communicator = try sharedCommunicator()
    let count = queries.count / width
    var known = FeatureSet(dealing: Tensor(bank, [labels.count, width]), labels: labels, to: communicator)
    var asked = FeatureSet(
      dealing: Tensor(queries, [count, width]), labels: [Int32](repeating: -1, count: count), to: communicator)
    if standardise {
      let scaling = try Standardisation(known, communicator)
      (known, asked) = (known.standardised(by: scaling), asked.standardised(by: scaling))
    }
    let neighbours = try ShardedSearch(bank: known.normalised(), communicator: communicator)
      .nearest(asked.normalised(), k: k)
    return (asked.range, neighbours, neighbours.map { vote.ranking($0.prefix(k))[0] })
  }

  /// The vote of one query in double, without tiles, for several k.
  private func slowPredictions(
    bank: [Float], labels: [Int32], query: [Float], ks: [Int], temperature: Double
  ) -> [Int32] {
    func unit(_ row: ArraySlice<Float>) -> [Double] {
      let values = row.map(Double.init)
      let norm = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
      return values.map { $0 / max(norm, 1e-12) }
    }
    let query = unit(query[...])
    let scored = labels.indices.map { row -> (similarity: Double, row: Int) in
      let known = unit(bank[row * width..<(row + 1) * width])
      return (zip(query, known).reduce(0) { $0 + $1.0 * $1.1 }, row)
    }
    let nearest = scored.sorted { a, b in
      a.similarity == b.similarity ? a.row < b.row : a.similarity > b.similarity
    }
    return ks.map { k in
      var votes = [Double](repeating: 0, count: 10)
      for entry in nearest.prefix(k) { votes[Int(labels[entry.row])] += exp(entry.similarity / temperature) }
      return Int32(votes.firstIndex(of: votes.max() ?? 0) ?? 0)
    }
  }

  func testVotesEqualTheSlowTranscription() throws {
    let (ks, vote) = ([1, 5, 20], Vote(temperature: 0.07))
    for (count, queries) in [(5, 3), (300, 70), (1100, 130)] {
      let bank = ExactRandom.floats(count * width, seed: 1)
      let labels = (0..<count).map { Int32($0 % 5) }
      let asked = ExactRandom.floats(queries * width, seed: 2)
      let found = try ks.map { k in
        try predictions(bank: bank, labels: labels, queries: asked, k: k, vote: vote)
      }
      // The slow one takes a while: some queries of the largest set are enough.
      for (place, query) in found[0].range.enumerated() where count < 1000 || query % 7 == 0 {
        XCTAssertEqual(
          found.map { $0.classes[place] },
          slowPredictions(
            bank: bank, labels: labels, query: Array(asked[query * width..<(query + 1) * width]), ks: ks,
            temperature: vote.temperature), "query \(query) of \(count)")
      }
    }
  }

  /// KNeighborsClassifier with metric cosine, algorithm brute, weights exp((1 - d) / T) or uniform, label for label.
  func testPredictionsAreThoseOfScikitLearn() throws {
    let (golden, communicator) = (Golden.load("neighbours"), try sharedCommunicator())
    for name in ["set0", "set1", "set2"] {
      let (bank, queries) = (golden.shape("\(name).bank"), golden.shape("\(name).queries"))
      let known = FeatureSet(
        dealing: Tensor(golden.floats("\(name).bank"), [bank[0], bank[1]]),
        labels: golden.ints("\(name).bank_labels").map { Int32($0) }, to: communicator)
      let asked = FeatureSet(
        dealing: Tensor(golden.floats("\(name).queries"), [queries[0], queries[1]]),
        labels: golden.ints("\(name).query_labels").map { Int32($0) }, to: communicator)
      let scaling = try Standardisation(known, communicator)
      for (prefix, known, asked, ks) in [
        (name, known, asked, golden.ints("\(name).k")),
        (
          "\(name).standardised", known.standardised(by: scaling), asked.standardised(by: scaling),
          Array(golden.ints("\(name).k").prefix(2))
        ),
      ] {
        let found = try ShardedSearch(bank: known.normalised(), communicator: communicator)
          .nearest(asked.normalised(), k: ks.max() ?? 1)
        for k in ks {
          for (vote, word) in [(Vote(temperature: 0.07), "weighted"), (.uniform, "uniform")] {
            let expected = golden.ints("\(prefix).k\(k).\(word)")[asked.range].map { Int32($0) }
            XCTAssertEqual(found.map { vote.ranking($0.prefix(k))[0] }, expected, "\(prefix) k \(k) \(word)")
          }
        }
      }
    }
  }

  func testEveryBankRowFindsItselfFirst() throws {
    let bank = ExactRandom.floats(90 * width, seed: 3)
    let found = try predictions(
      bank: bank, labels: (0..<90).map { Int32($0) }, queries: bank, k: 1, vote: Vote(temperature: 0.07))
    XCTAssertEqual(found.neighbours.map { $0[0].index }, Array(found.range))
  }

  func testScaleOfFeaturesDoesNotMatter() throws {
    let bank = ExactRandom.floats(64 * width, seed: 4)
    let queries = ExactRandom.floats(10 * width, seed: 5)
    let labels = (0..<64).map { Int32($0 % 3) }
    let vote = Vote(temperature: 0.07)
    let plain = try predictions(bank: bank, labels: labels, queries: queries, k: 7, vote: vote)
    let scaled = try predictions(
      bank: bank.map { 8 * $0 }, labels: labels, queries: queries.map { 0.25 * $0 }, k: 7, vote: vote)
    XCTAssertEqual(plain.classes, scaled.classes)
  }

  func testStandardisedFeaturesForgetOffsetAndScaleOfEveryDimension() throws {
    let bank = ExactRandom.floats(64 * width, seed: 6)
    let queries = ExactRandom.floats(20 * width, seed: 7)
    let labels = (0..<64).map { Int32($0 % 4) }
    func moved(_ x: [Float]) -> [Float] {
      x.enumerated().map { place, value in Float(place % width) + value * Float(1 + place % width) }
    }
    func found(_ bank: [Float], _ queries: [Float], _ standardise: Bool) throws -> [[Int]] {
      try predictions(
        bank: bank, labels: labels, queries: queries, k: 5, vote: .uniform, standardise: standardise
      ).neighbours.map { $0.map(\.index) }
    }
    let plain = try found(bank, queries, true)
    XCTAssertEqual(plain, try found(moved(bank), moved(queries), true))
    XCTAssertNotEqual(plain, try found(moved(bank), moved(queries), false))
  }

  private func neighbours(_ entries: [(Float, Int32)]) -> [Neighbour] {
    entries.enumerated().map { Neighbour(similarity: $1.0, index: $0, label: $1.1) }
  }

  /// spec/evaluation.md section 4: the similarities .96, .8, .6 give class 1 for k 3 and T .07.
  func testTheVoteOfTheSpecification() throws {
    let bank: [Float] = [1, 0, 0.6, 0.8, 0, 1, -0.8, 0.6]
    let communicator = try sharedCommunicator()
    let known = FeatureSet(dealing: Tensor(bank, [4, 2]), labels: [0, 1, 1, 2], to: communicator)
    let asked = FeatureSet(dealing: Tensor([0.8, 0.6], [1, 2]), labels: [1], to: communicator)
    let found = try ShardedSearch(bank: known.normalised(), communicator: communicator)
      .nearest(asked.normalised(), k: 3)
    for list in found {
      expectClose(list.map(\.similarity), [0.96, 0.8, 0.6])
      XCTAssertEqual(Vote(temperature: 0.07).ranking(list[...]), [1, 0])
      // 91910.58 and 909008.48, unshifted.
      let weights = list.map { exp(Double($0.similarity) / 0.07) }
      XCTAssertEqual(weights[0] + weights[2], 909008.48, accuracy: 5)
      XCTAssertEqual(weights[1], 91910.58, accuracy: 0.5)
    }
    XCTAssertEqual(found.count, communicator.rank == 0 ? 1 : 0)
  }

  func testEqualVotesGoToTheLowerClassAndOnlyVotedClassesCount() {
    let list = neighbours([(0.5, 4), (0.5, 2), (0.5, 7), (0.5, 2), (0.5, 4)])
    XCTAssertEqual(Vote.uniform.ranking(list[...]), [2, 4, 7])
    let hits = { (label: Int32, k: Int) in Vote.uniform.hits([list], [label][...], k: k) }
    XCTAssertEqual(hits(2, 5).top1, 1)
    XCTAssertEqual(hits(7, 5).top5, 1)
    XCTAssertEqual(hits(0, 5).top5, 0, "nobody voted for class 0")
    XCTAssertEqual(hits(4, 1).top5, 1)
    XCTAssertEqual(hits(2, 1).top5, 0, "of one neighbour, one class")
    XCTAssertEqual(Vote.matching([list], [Int32(4)][...], k: 5), 2)
    XCTAssertEqual(Vote.matching([list], [Int32(4)][...], k: 3), 1)
  }

  func testOneNeighbourIgnoresTheTemperatureAndAGreatOneIsUniform() {
    let list = neighbours([(0.9, 1), (0.2, 0), (0.1, 0)])
    for temperature in [1e-3, 0.07, 10] {
      XCTAssertEqual(Vote(temperature: temperature).ranking(list[..<1]), [1])
    }
    XCTAssertEqual(Vote(temperature: 0.07).ranking(list[...]), [1, 0])
    XCTAssertEqual(Vote(temperature: 1e9).ranking(list[...]), Vote.uniform.ranking(list[...]))
    XCTAssertEqual(Vote.uniform.ranking(list[...]), [0, 1])
  }
}
