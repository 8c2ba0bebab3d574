import Basics
import Features
import Foundation
import Pipeline
import TestKit
import Tensors
import XCTest

@testable import Evaluation

/// The protocol `lowshot`. Collective: the same on all ranks.
final class LowShotTests: XCTestCase {
  func testOracleFeaturesScoreOneHundred() throws {
    let context = try context(
      LabelledClusters(oracle: 100, classes: 10, seed: 1), LabelledClusters(oracle: 150, classes: 10, seed: 2))
    let report = try evaluator(LowShot.self, isTiny: true).evaluate(context)
    for shot in [1, 2, 5] {
      XCTAssertEqual(report["lowshot.shot\(shot).top1_mean"], 100)
      XCTAssertEqual(report["lowshot.shot\(shot).top1_std"], 0)
      for lambda in ["0.00025", "0.0025", "0.01", "0.1", "1.0"] {
        XCTAssertEqual(report["lowshot.shot\(shot).lam\(lambda).top1_count"], 450)
        XCTAssertLessThanOrEqual(try XCTUnwrap(report["lowshot.shot\(shot).lam\(lambda).gradient"]), 1e-6)
      }
      XCTAssertEqual(report["lowshot.shot\(shot).lambda"], 0.00025)
      XCTAssertEqual(report["lowshot.shot\(shot).train_images"], Double(10 * shot))
    }
    XCTAssertNil(report.selectedOn)
    XCTAssertEqual(report.notes, [])
  }

  func testFeaturesWithoutLabelsScoreChance() throws {
    let context = try context(
      LabelledClusters(500, width: 16, classes: 10, spread: nil, seed: 1),
      LabelledClusters(500, width: 16, classes: 10, spread: nil, seed: 2))
    let report = try evaluator(LowShot.self, "{subsets: 10%, lambda: 0.1, headline_lambda: 0.1}").evaluate(context)
    let sigma = 100 * (0.1 * 0.9 / 500).squareRoot()
    XCTAssertEqual(try XCTUnwrap(report["lowshot.pct10.top1_mean"]), 10, accuracy: 3 * sigma)
  }

  func testMeansAndSpreadAreThoseOfTheDraws() throws {
    let train = LabelledClusters(60, width: 8, classes: 3, spread: 2, seed: 1)
    let val = LabelledClusters(90, width: 8, classes: 3, spread: 2, seed: 2)
    let context = try context(train, val)
    let report = try evaluator(LowShot.self, "{subsets: 2, recipe: moca, lambda: [0.1, 1]}").evaluate(context)
    let splits = try LabelledSplits(context)
    var shares: [Double] = []
    for seed in 0..<3 {
      let chosen = try Subset.perClass(2).chosen(from: splits, seed: UInt64(seed))
      let rows = try LowShotRows(chosen, of: splits.train, .centred, context.communicator)
      let (weights, _) = try LowShotFit.solution(rows, classes: 3, lambda: 0.1, LBFGS(), context.communicator)
      let prepared = RowPreparation.centred.preparedTensor(val.rows)
      let right = LowShotFit.ranks(weights, prepared, labels: val.labels[...]).count { $0 == 0 }
      shares.append(100 * Double(right) / 90)
    }
    let mean = shares.reduce(0, +) / 3
    XCTAssertEqual(try XCTUnwrap(report["lowshot.shot2.lam0.1.top1_mean"]), mean, accuracy: 1e-12)
    XCTAssertEqual(try XCTUnwrap(report["lowshot.shot2.top1"]), mean, accuracy: 1e-12)
    let variance = shares.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 3
    XCTAssertGreaterThan(variance, 0)
    XCTAssertEqual(try XCTUnwrap(report["lowshot.shot2.lam0.1.top1_std"]), variance.squareRoot(), accuracy: 1e-12)
    XCTAssertTrue(report.notes.contains { $0.contains("--feature cls:prenorm") })
  }

  func testStoredFeaturesOfImagesResizedOtherwiseAreNotAReproduction() throws {
    for (words, recipe, isAsked) in [
      ("eval(224, bicubic)", "moca", false), ("eval(224, bilinear)", "moca", true), ("eval(224, bicubic)", "udi", true),
    ] {
      let world = try sharedCommunicator()
      let dealt = LabelledClusters(60, width: 8, classes: 3, spread: 2, seed: 1).dealt(world)
      let train = FeatureSet(
        rows: dealt.rows, range: dealt.range, labels: dealt.labels,
        origin: FeatureOrigin(feature: "cls:prenorm", transform: words))
      let val = LabelledClusters(30, width: 8, classes: 3, spread: 2, seed: 2).dealt(world)
      let context = EvaluationContext([.train: train, .val: val], communicator: world)
      let report = try evaluator(LowShot.self, "{recipe: \(recipe)}").evaluate(context)
      XCTAssertEqual(report.provenance == .reproduction, isAsked, "\(words) for \(recipe)")
      XCTAssertEqual(report.notes.contains { $0.contains("embed --interpolation bilinear") }, !isAsked)
    }
  }

  func testTheBestLambdaIsSaidToBeChosenOnVal() throws {
    let context = try context(
      LabelledClusters(60, width: 8, classes: 3, spread: 2, seed: 1),
      LabelledClusters(90, width: 8, classes: 3, spread: 2, seed: 2))
    let report = try evaluator(LowShot.self, "{subsets: \"1,5\", recipe: udi}").evaluate(context)
    XCTAssertEqual(report.selectedOn, "val")
    XCTAssertTrue(report.notes.contains { $0.hasPrefix("best_lambda") })
    for shot in [1, 5] {
      let all = ["0.01", "0.1", "1.0"].compactMap { report["lowshot.shot\(shot).lam\($0).top1_count"] }
      XCTAssertEqual(all.count, 3)
      XCTAssertEqual(report["lowshot.shot\(shot).top1_count"], all.max())
    }
  }

  func testASearchThatStopsEarlyIsNoted() throws {
    let context = try context(
      LabelledClusters(60, width: 8, classes: 3, spread: 2, seed: 1),
      LabelledClusters(90, width: 8, classes: 3, spread: 2, seed: 2))
    let report = try evaluator(LowShot.self, "{subsets: 2, lambda: 0.00025, max_iterations: 2}").evaluate(context)
    XCTAssertEqual(report["lowshot.shot2.lam0.00025.iterations"], 2)
    XCTAssertEqual(report.notes.count, 3)
  }

  func testListsNameImagesOfTheData() throws {
    // A folder of generated images: class/class_NUMBER.jpg.
    let communicator = try sharedCommunicator()
    let root = try communicator.broadcast(communicator.isCoordinator ? try folderOfShapes() : "")
    let context = EvaluationContext(
      encoder: try smallEncoder(communicator), splits: try DataSplits.open(root), kind: FeatureKind(.concat),
      communicator: communicator)
    let report = try evaluator(LowShot.self, "subsets: \(root)/list.txt").evaluate(context)
    XCTAssertEqual(report["lowshot.shot2.train_images"], 20)
    let splits = try LabelledSplits(context)
    let names = try context.imageNames(of: splits.train, .train)
    XCTAssertEqual(names[0], "0-disk/0-disk_0.jpg")
    let draws = try SubsetDraws.all(
      [.list(path: "\(root)/list.txt")], from: splits, perClassDraws: 1, seed: 0,
      names: { () throws(Failure) in names })
    XCTAssertTrue(draws[0].draws[0].allSatisfy { names[$0].hasSuffix("_1.jpg") || names[$0].hasSuffix("_3.jpg") })
    XCTAssertEqual(Set(draws[0].draws[0].map { splits.train.labels[$0] }).count, 10)
  }

  private func folderOfShapes() throws -> String {
    let root = temporaryDirectory("shapes")
    let shapes = try DataSource.open("synth:tinyshapes?n=40&size=16", labels: true)
    var counts = [Int](repeating: 0, count: 10)
    var list = ""
    for i in 0..<shapes.count {
      let label = Int(shapes.label(i))
      let name = shapes.classNames[label]
      for split in ["train", "val"] {
        let folder = "\(root)/\(split)/\(name)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data(shapes.bytes(i)).write(to: URL(fileURLWithPath: "\(folder)/\(name)_\(counts[label]).jpg"))
      }
      if counts[label] % 2 == 1 { list += "\(name)_\(counts[label]).jpg\n" }
      counts[label] += 1
    }
    try list.write(toFile: "\(root)/list.txt", atomically: true, encoding: .utf8)
    return root
  }

  func testWrongParametersAreRefused() throws {
    expectFailure(.badConfig, "'many' is no subset") { _ = try evaluator(LowShot.self, "subsets: \"1,many\"") }
    expectFailure(.badConfig, "headline_lambda=3") { _ = try evaluator(LowShot.self, "headline_lambda: 3") }
    expectFailure(.badConfig, "a lambda stands there twice") { _ = try evaluator(LowShot.self, "lambda: [1, 1]") }
    expectFailure(.badConfig, "centre-l2, l2, none") { _ = try evaluator(LowShot.self, "preprocess: whiten") }
    let context = try context(
      LabelledClusters(60, width: 8, classes: 3, spread: 2, seed: 1),
      LabelledClusters(90, width: 8, classes: 3, spread: 2, seed: 2))
    expectFailure(.inputMissing, "--data") {
      _ = try evaluator(LowShot.self, "subsets: lists/1imgs_class.txt").evaluate(context)
    }
    expectFailure(.badData, "class '0' has 20 images") {
      _ = try evaluator(LowShot.self, "subsets: 50").evaluate(context)
    }
  }
}
