import Basics
import Features
import Pipeline
import Settings
import TestKit
import Tensors
import XCTest

@testable import Evaluation

/// On every rank of the start: 1, 2, 3 and 4 in turn.
final class EmbeddingTests: XCTestCase {
  private let golden = Golden.load("neighbours")

  private func report(_ settings: String, split: Split = .val, labels: [Int32]? = nil) throws -> EvaluationReport {
    let shape = golden.shape("set1.bank")
    let communicator = try sharedCommunicator()
    let set = FeatureSet(
      dealing: Tensor(golden.floats("set1.bank"), [shape[0], shape[1]]),
      labels: labels ?? golden.ints("set1.bank_labels").map { Int32($0) }, to: communicator)
    let section = try SettingsTree.parse(settings, named: "test").section("")
    return try Embedding(section, isTiny: false)
      .evaluate(EvaluationContext([split: set], communicator: communicator))
  }

  /// The nearest other images by cosine, in double.
  private func slowNeighbours(_ k: Int) -> [[Int]] {
    let shape = golden.shape("set1.bank")
    let values = golden.floats("set1.bank").map(Double.init)
    let rows = (0..<shape[0]).map { row -> [Double] in
      let row = values[row * shape[1]..<(row + 1) * shape[1]]
      let norm = row.reduce(0) { $0 + $1 * $1 }.squareRoot()
      return row.map { $0 / norm }
    }
    return rows.indices.map { query in
      let others = rows.indices.filter { $0 != query }.map { row -> (cosine: Double, row: Int) in
        var cosine = 0.0
        for d in 0..<shape[1] { cosine += rows[query][d] * rows[row][d] }
        return (cosine, row)
      }
      return others.sorted { $0.cosine > $1.cosine || ($0.cosine == $1.cosine && $0.row < $1.row) }.prefix(k).map(\.row)
    }
  }

  func testNeighboursAndComponentsAreWritten() throws {
    let report = try report("{components: 6, neighbours: 3}")
    let (ratios, variances) = (golden.floats("set1.pca.ratio"), golden.floats("set1.pca.variance"))
    for place in 0..<3 {
      XCTAssertEqual(report["embed.pca.ratio\(place + 1)"] ?? 0, Double(ratios[place]), accuracy: 1e-6)
      XCTAssertEqual(
        report["embed.pca.variance\(place + 1)"] ?? 0, Double(variances[place]), accuracy: 1e-6 * Double(variances[0]))
    }
    XCTAssertEqual(report["embed.pca.ratio"] ?? 0, ratios.reduce(0) { $0 + Double($1) }, accuracy: 1e-6)
    let labels = golden.ints("set1.bank_labels")
    let expected = slowNeighbours(3)
    let matching = expected.enumerated().reduce(0) { sum, list in
      sum + list.element.count { labels[$0] == labels[list.offset] }
    }
    XCTAssertEqual(report["embed.neighbours.purity_count"], Double(matching))
    guard try sharedCommunicator().isCoordinator else { return XCTAssertTrue(report.files.isEmpty) }
    XCTAssertEqual(report.files.map(\.name), ["neighbours.jsonl", "pca.csv"])
    let lines = String(decoding: report.files[0].bytes, as: UTF8.self).split(separator: "\n")
    let lists = try lines.map { try JSON.parse(String($0)) }
    XCTAssertEqual(lists.compactMap { $0["image"]?.intValue }, Array(0..<300))
    XCTAssertEqual(
      lists.map { ($0["neighbours"]?.arrayValue ?? []).compactMap { $0["image"]?.intValue } }, expected)
    let rows = String(decoding: report.files[1].bytes, as: UTF8.self).split(separator: "\n")
    XCTAssertEqual(rows[0], "image,label,pc1,pc2,pc3,pc4,pc5,pc6")
    XCTAssertEqual(rows.count, 301)
    XCTAssertTrue(rows[18].hasPrefix("17,\(labels[17]),"))
  }

  func testLabelsAreNotNeeded() throws {
    let report = try report(
      "{split: train, components: 2, neighbours: 1}", split: .train, labels: [Int32](repeating: -1, count: 300))
    XCTAssertNil(report["embed.neighbours.purity"])
    XCTAssertNotNil(report["embed.pca.ratio2"])
  }

  func testTooMuchIsRefused() throws {
    for (settings, words) in [
      ("{components: 25}", "components=24"), ("{components: 2, neighbours: 300}", "neighbours=299"),
    ] {
      XCTAssertThrowsError(try report(settings)) { error in
        XCTAssertEqual((error as? Failure)?.code, .badConfig)
        XCTAssertTrue("\(error)".contains(words), "\(error)")
      }
    }
  }
}
