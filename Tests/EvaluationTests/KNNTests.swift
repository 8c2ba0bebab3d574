import Basics
import Features
import Pipeline
import Settings
import TestKit
import Tensors
import XCTest

@testable import Evaluation

/// On every rank of the start: 1, 2, 3 and 4 in turn.
final class KNNTests: XCTestCase {
  private typealias Labelled = (rows: [Float], width: Int, labels: [Int32])

  private func report(
    _ settings: String, _ bank: Labelled?, _ queries: Labelled?, classNames: [String] = [],
    queryClassNames: [String]? = nil
  ) throws -> EvaluationReport {
    let communicator = try sharedCommunicator()
    var sets: [Split: FeatureSet] = [:]
    for (split, images, names) in [(Split.train, bank, classNames), (.val, queries, queryClassNames ?? classNames)] {
      guard let images else { continue }
      sets[split] = FeatureSet(
        dealing: Tensor(images.rows, [images.labels.count, images.width]), labels: images.labels, classNames: names,
        to: communicator)
    }
    let section = try SettingsTree.parse(settings, named: "test").section("")
    return try KNN(section, isTiny: false).evaluate(EvaluationContext(sets, communicator: communicator))
  }

  private func images(_ golden: Golden, _ set: String, _ part: String) -> Labelled {
    (
      golden.floats("\(set).\(part)"), golden.shape("\(set).\(part)")[1],
      golden.ints("\(set).\(part == "bank" ? "bank" : "query")_labels").map { Int32($0) }
    )
  }

  private func count(_ report: EvaluationReport, _ name: String) -> Int? { report["\(name)_count"].map { Int($0) } }

  func testCountsAreThoseOfScikitLearn() throws {
    let golden = Golden.load("neighbours")
    for set in ["set0", "set1", "set2"] {
      let (bank, queries) = (images(golden, set, "bank"), images(golden, set, "queries"))
      let ks = golden.ints("\(set).k")
      for (standardise, ks) in [(false, ks), (true, Array(ks.prefix(2)))] {
        for vote in ["weighted", "uniform"] {
          let report = try report(
            "{k: \(ks), headline: best, vote: \(vote), standardise: \(standardise)}", bank, queries)
          for k in ks {
            let key = "\(set)\(standardise ? ".standardised" : "").k\(k)"
            let right = zip(golden.ints("\(key).\(vote)"), queries.labels).count { $0 == Int($1) }
            XCTAssertEqual(count(report, "knn.k\(k).top1"), right, "\(key) \(vote)")
            XCTAssertEqual(count(report, "knn.k\(k).top5"), Int(golden.number("\(key).\(vote).top5")), "\(key) \(vote)")
            XCTAssertEqual(count(report, "knn.k\(k).purity"), Int(golden.number("\(key).matching")), key)
          }
          XCTAssertEqual(
            report["knn.best.top1"], ks.compactMap { report["knn.k\($0).top1"] }.max(), "the best of the sweep")
          XCTAssertEqual(report.selectedOn, "val")
        }
      }
    }
  }

  /// One-hot features of the label with a little noise, or features that know nothing.
  private func made(_ count: Int, classes: Int, knowing: Bool, seed: UInt64) -> Labelled {
    let noise = ExactRandom.floats(count * classes, seed: seed)
    let rows = noise.enumerated().map { place, value in
      knowing ? (place % classes == place / classes % classes ? 1 : 0) + 1e-3 * value : value
    }
    return (rows, classes, (0..<count).map { Int32($0 % classes) })
  }

  func testOracleFeaturesArePerfectAndBlindOnesGuess() throws {
    let classes = 10
    let oracle = try report(
      "{k: [1, 10]}", made(200, classes: classes, knowing: true, seed: 1),
      made(100, classes: classes, knowing: true, seed: 2))
    for name in ["k1.top1", "k1.top5", "k1.purity", "k10.top1", "k10.top5", "k10.purity"] {
      XCTAssertEqual(oracle["knn.\(name)"], 100, name)
    }
    XCTAssertEqual(oracle.headline, ["knn.k10.top1", "knn.k10.purity"])
    XCTAssertNil(oracle.selectedOn)
    let blind = try report(
      "{k: [1, 10]}", made(600, classes: classes, knowing: false, seed: 3),
      made(500, classes: classes, knowing: false, seed: 4))
    for k in [1, 10] {
      XCTAssertEqual(blind["knn.k\(k).top1"] ?? 0, 10, accuracy: 300 * (0.1 * 0.9 / 500).squareRoot())
    }
    XCTAssertGreaterThan(blind["knn.effective_rank"] ?? 0, 9)
    XCTAssertEqual(oracle["knn.feature_std"] ?? 0, (0.1 * 0.9).squareRoot(), accuracy: 1e-3)
  }

  func testTheBankFindsItselfUnlessItIsExcluded() throws {
    let set = made(60, classes: 4, knowing: false, seed: 5)
    let own = try report("{k: [1], bank: val, queries: val, self_exclude: false}", nil, set)
    XCTAssertEqual(own["knn.k1.top1"], 100)
    XCTAssertEqual(own.provenance, .decision)
    let others = try report("{k: [1], bank: val, queries: val}", nil, set)
    XCTAssertLessThan(others["knn.k1.top1"] ?? 100, 60)
    // With every other image as neighbour and equal votes, the own class is one short and never wins.
    let all = try report("{k: [59], bank: val, queries: val, vote: uniform}", nil, set)
    XCTAssertEqual(all["knn.k59.top1"], 0)
    XCTAssertEqual(count(all, "knn.k59.purity"), 60 * 14)
  }

  /// Scale, a rotation, and the order of the images.
  func testWhatDoesNotMatter() throws {
    let golden = Golden.load("neighbours")
    let (bank, queries) = (images(golden, "set1", "bank"), images(golden, "set1", "queries"))
    let settings = "{k: [1, 10, 20]}"
    let plain = try report(settings, bank, queries)
    func same(_ other: EvaluationReport, _ what: String) {
      for k in [1, 10, 20] {
        for name in ["top1", "top5", "purity"] {
          XCTAssertEqual(
            count(other, "knn.k\(k).\(name)"), count(plain, "knn.k\(k).\(name)"), "\(what): k \(k) \(name)")
        }
      }
    }
    func changed(_ set: Labelled, _ change: ([Float]) -> [Float]) -> Labelled {
      let rows = set.labels.indices.flatMap { change(Array(set.rows[$0 * set.width..<($0 + 1) * set.width])) }
      return (rows, set.width, set.labels)
    }
    same(try report(settings, changed(bank) { $0.map { 7 * $0 } }, changed(queries) { $0.map { 0.03 * $0 } }), "scale")
    // A reflection at a plane that no axis lies in.
    let normal = ExactRandom.floats(bank.width, seed: 6)
    let length = normal.reduce(0) { $0 + $1 * $1 }
    func reflected(_ x: [Float]) -> [Float] {
      let along = 2 * zip(x, normal).reduce(0) { $0 + $1.0 * $1.1 } / length
      return zip(x, normal).map { $0 - along * $1 }
    }
    same(try report(settings, changed(bank, reflected), changed(queries, reflected)), "reflection")
    func shuffled(_ set: Labelled, seed: UInt64) -> Labelled {
      var stream = RandomStream(seed: seed, purpose: .probe)
      let order = stream.permutation(set.labels.count).map { Int($0) }
      return (
        order.flatMap { set.rows[$0 * set.width..<($0 + 1) * set.width] }, set.width, order.map { set.labels[$0] }
      )
    }
    same(try report(settings, shuffled(bank, seed: 1), shuffled(queries, seed: 2)), "order")
  }

  func testTheTemperature() throws {
    let golden = Golden.load("neighbours")
    let (bank, queries) = (images(golden, "set1", "bank"), images(golden, "set1", "queries"))
    let sweep = try report("{k: [1, 20], headline: 20, tsweep: true}", bank, queries)
    XCTAssertEqual(Set(KNN.sweep.map { sweep["knn.t\($0).k1.top1"] }), [sweep["knn.k1.top1"]], "k = 1 ignores it")
    XCTAssertEqual(sweep["knn.t0.07.k20.top1"], sweep["knn.k20.top1"])
    XCTAssertEqual(sweep["knn.tsweep.top1"], KNN.sweep.compactMap { sweep["knn.t\($0).k20.top1"] }.max())
    XCTAssertEqual(sweep.selectedOn, "val")
    XCTAssertTrue(sweep.notes.contains { $0.hasPrefix("tsweep") })
    let warm = try report("{k: [20], temperature: 100}", bank, queries)
    XCTAssertNotEqual(warm["knn.k20.top1"], sweep["knn.k20.top1"])
  }

  func testWhatCannotBeMeasuredIsSaid() throws {
    let set = made(40, classes: 4, knowing: true, seed: 7)
    func expect(
      _ code: ExitCode, _ words: String, _ settings: String, _ bank: Labelled?, _ queries: Labelled?,
      names: [String] = [], queryNames: [String]? = nil, line: UInt = #line
    ) {
      XCTAssertThrowsError(
        try report(settings, bank, queries, classNames: names, queryClassNames: queryNames), line: line
      ) { error in
        XCTAssertEqual((error as? Failure)?.code, code, line: line)
        XCTAssertTrue("\(error)".contains(words), "\(error)", line: line)
      }
    }
    expect(.badConfig, "k = 200 of a bank with 40 neighbours", "{k: [10, 200]}", set, set)
    expect(.badConfig, "ask for fewer: k=[10]", "{k: [10, 200]}", set, set)
    expect(.badConfig, "headline 7 is not among k = [1]", "{k: 1, headline: 7}", set, set)
    expect(.badConfig, "none is its own neighbour", "{k: 1, self_exclude: true}", set, set)
    expect(.badConfig, "twice", "{k: [1, 1]}", set, set)
    expect(.badConfig, "no temperature", "{k: 1, vote: uniform, tsweep: true}", set, set)
    expect(.inputMissing, "'train'", "{k: 1}", nil, set)
    expect(
      .badData, "1 of 40 images of the split 'val' have no label", "{k: 1}", set,
      (set.rows, 4, [-1] + set.labels.dropFirst()))
    expect(
      .badData, "the class 'e' has no image in the split 'train'", "{k: 1}", set, set, names: ["a", "b", "c", "d", "e"])
    expect(
      .badData, "class 1 is 'b' here and 'x' there", "{k: 1}", set, set, names: ["a", "b", "c", "d"],
      queryNames: ["a", "x", "c", "d"])
    expect(.badData, "[4], those of 'val' [5]", "{k: 1}", set, made(40, classes: 5, knowing: true, seed: 8))
    var broken = set
    broken.rows[4 * 17] = .nan
    expect(.nonFinite, "image 17 is not a number", "{k: 1}", set, broken)
  }
}
