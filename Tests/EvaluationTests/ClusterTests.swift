import Basics
import Features
import Messaging
import Settings
import Tensors
import TestKit
import XCTest

@testable import Evaluation

final class ClusterTests: XCTestCase {
  private static let count = 120
  private static let classes = 6
  private let labels = (0..<ClusterTests.count).map { Int32($0 * 7 % ClusterTests.classes) }

  private func cluster(_ yaml: String = "", isTiny: Bool = true) throws -> Cluster {
    let tree = try SettingsTree.parse(yaml, named: "test")
    return try Cluster(tree.section(""), isTiny: isTiny)
  }

  private func context(_ rows: [Float], _ labels: [Int32], names: [String] = []) throws -> EvaluationContext {
    let communicator = try sharedCommunicator()
    let set = FeatureSet(
      dealing: Tensor(rows, [labels.count, rows.count / labels.count]), labels: labels, classNames: names,
      to: communicator)
    return EvaluationContext([.val: set], seed: 3, communicator: communicator)
  }

  /// One-hot labels and a little noise.
  private var oracle: [Float] {
    let noise = ExactRandom.floats(Self.count * Self.classes, seed: 1)
    return labels.indices.flatMap { row in
      (0..<Self.classes).map { ($0 == Int(labels[row]) ? 1 : 0) + 1e-3 * noise[row * Self.classes + $0] }
    }
  }

  func testFeaturesThatSayTheLabelScoreOneHundred() throws {
    for yaml in ["", "algorithm: minibatch\nbatch: 40", "placement: replicated"] {
      let report = try cluster(yaml).evaluate(context(oracle, labels))
      XCTAssertEqual(report["cluster.acc_count"], Double(Self.count), yaml)
      XCTAssertEqual(report["cluster.acc"], 100)
      for name in ["nmi", "ami", "ari"] {
        XCTAssertEqual(report["cluster.\(name)"] ?? 0, 100, accuracy: 1e-9)
      }
      XCTAssertGreaterThan(report["cluster.silhouette"] ?? 0, 99)
      XCTAssertEqual(report.headline.compactMap { report[$0] }.count, 5)
    }
  }

  func testFeaturesThatDoNotKnowTheLabelScoreChance() throws {
    let features = ExactRandom.floats(Self.count * 16, seed: 2)
    let report = try cluster().evaluate(context(features, labels))
    // Over 400 random labellings of so many images the deviation of both is below 1.3.
    XCTAssertEqual(report["cluster.ari"] ?? 100, 0, accuracy: 4)
    XCTAssertEqual(report["cluster.ami"] ?? 100, 0, accuracy: 4)
    XCTAssertEqual(report["cluster.silhouette"] ?? 100, 0, accuracy: 10)
    XCTAssertLessThan(report["cluster.acc"] ?? 100, 40)
  }

  func testNumbersAreThoseOfOneRank() throws {
    let features = ExactRandom.floats(Self.count * 9, seed: 4)
    let context = try context(features, labels)
    let report = try cluster().evaluate(context)
    let points = try KMeansPoints(
      context.features(.val), isStandardised: true, placement: .replicated, communicator: context.communicator)
    let alone = try KMeans.fit(points, KMeans.Options(clusters: Self.classes, restarts: 10, seed: 3))
    let table = Contingency(
      labels: labels, clusters: alone.clusters, classes: Self.classes, clusterCount: Self.classes)
    XCTAssertEqual(report["cluster.acc_count"], Double(table.matches(table.clustersOfClasses)))
    XCTAssertEqual(report["cluster.inertia"], alone.inertia)
    XCTAssertEqual(report["cluster.best_run"], Double(alone.bestRun))
    XCTAssertEqual(report["cluster.runs.inertia_mean"] ?? 0, alone.inertias.reduce(0, +) / 10, accuracy: 1e-9)
    let clustering = try Clustering(
      context.features(.val), KMeans.Options(clusters: Self.classes, restarts: 10, seed: 3),
      communicator: context.communicator)
    XCTAssertEqual(clustering.contingency, table)
    XCTAssertEqual(clustering.scoresOfRuns.map(\.matches).count, 10)
    XCTAssertEqual(clustering.scoresOfRuns[alone.bestRun].matches, table.matches(table.clustersOfClasses))
    XCTAssertEqual(clustering.confusion.trace, table.matches(table.clustersOfClasses))
    XCTAssertEqual(clustering.confusion.counts.map { $0.reduce(0, +) }, table.classSizes)
  }

  func testFilesHoldTheConfusionAndTheImagesNearestToEachCentroid() throws {
    let names = (0..<Self.classes).map { "class-\($0)" }
    let report = try cluster("images: 3").evaluate(context(oracle, labels, names: names))
    XCTAssertEqual(report.files.map(\.name), ["confusion.csv", "sheets.json"])
    let csv = String(decoding: report.files[0].bytes, as: UTF8.self)
    XCTAssertEqual(csv.split(separator: "\n").count, 1 + Self.classes)
    XCTAssertTrue(csv.contains("\nclass-2,0,0,20,0,0,0\n"), csv)
    let sheets = try JSON.parse(String(decoding: report.files[1].bytes, as: UTF8.self)).arrayValue ?? []
    XCTAssertEqual(sheets.count, Self.classes)
    for sheet in sheets {
      let images = (sheet["images"]?.arrayValue ?? []).compactMap(\.intValue)
      XCTAssertEqual(images.count, 3)
      XCTAssertEqual(sheet["size"]?.intValue, 20)
      let own = Set(images.map { labels[$0] })
      XCTAssertEqual(own.map { "class-\($0)" }, [sheet["class_name"]?.stringValue ?? ""])
      let distances = (sheet["distances"]?.arrayValue ?? []).compactMap(\.doubleValue)
      XCTAssertEqual(distances, distances.sorted())
    }
  }

  func testMoreClustersThanClassesAreCounted() throws {
    let report = try cluster("k: 9\nruns: 2").evaluate(context(oracle, labels))
    XCTAssertLessThan(report["cluster.acc_count"] ?? 0, Double(Self.count))
    XCTAssertEqual(report["cluster.acc_of"], Double(Self.count))
  }

  func testTheDefaultsAreThoseOfThePaperAndOfTheTinySuite() throws {
    let tiny = try cluster().evaluate(context(oracle, labels)).json["parameters"]
    XCTAssertEqual(tiny?["runs"]?.intValue, 10)
    XCTAssertEqual(tiny?["algorithm"]?.stringValue, "lloyd")
    let whole = try cluster(isTiny: false).evaluate(context(oracle, labels)).json["parameters"]
    XCTAssertEqual(whole?["runs"]?.intValue, 100)
    XCTAssertEqual(whole?["algorithm"]?.stringValue, "minibatch")
    XCTAssertEqual(whole?["batch"]?.intValue, 1024)
    XCTAssertEqual(whole?["k"]?.intValue, Self.classes)
  }

  func testLabelsThatAreMissingAreNamed() throws {
    func message(_ labels: [Int32], names: [String] = []) throws -> Failure? {
      var failure: Failure?
      XCTAssertThrowsError(try cluster().evaluate(context(oracle, labels, names: names))) { failure = $0 as? Failure }
      return failure
    }
    var unlabelled = labels
    unlabelled[17] = -1
    let missing = try message(unlabelled)
    XCTAssertEqual(missing?.code, .badData)
    XCTAssertTrue(missing?.what.contains("1 of 120 images of the split 'val' have no label") ?? false)
    let empty = try message(labels.map { min($0, 4) }, names: ["a", "b", "c", "d", "e", "f"])
    XCTAssertEqual(empty?.code, .badData)
    XCTAssertTrue(empty?.what.contains("the class 'f' has no image in the split 'val'") ?? false)
    XCTAssertEqual(try message(labels.map { _ in 0 })?.code, .badData)
  }

  func testWrongParametersAreRefused() throws {
    for yaml in ["algorithm: hartigan", "k: 0", "runs: 0", "reassignment: 1", "placement: rank"] {
      XCTAssertThrowsError(try cluster(yaml), yaml) { XCTAssertEqual(($0 as? Failure)?.code, .badConfig) }
    }
    XCTAssertThrowsError(try cluster("k: 121").evaluate(context(oracle, labels))) {
      XCTAssertEqual(($0 as? Failure)?.code, .badConfig)
    }
  }
}
