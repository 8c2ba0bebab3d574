import Basics
import Features
import Pipeline
import TestKit
import Tensors
import XCTest

@testable import Evaluation

/// The protocol `linear`. Collective: the same on all ranks.
final class LinearProbeTests: XCTestCase {
  private let quick = "{mode: cached:eval, epochs: 8, batch: 64, base_lr: [0.3, 0.1]}"

  func testOracleFeaturesScoreOneHundred() throws {
    let context = try context(
      LabelledClusters(oracle: 300, classes: 10, seed: 1), LabelledClusters(oracle: 150, classes: 10, seed: 2))
    let report = try evaluator(LinearProbe.self, quick).evaluate(context)
    XCTAssertEqual(report["linear.top1_last"], 100)
    XCTAssertEqual(report["linear.top1_last_count"], 150)
    XCTAssertEqual(report["linear.top1_best"], 100)
    XCTAssertEqual(report["linear.selected_lr"], 0.3)
    XCTAssertEqual(report.provenance, .cached)
    XCTAssertEqual(report.selectedOn, "val")
  }

  func testFeaturesWithoutLabelsScoreChance() throws {
    let context = try context(
      LabelledClusters(500, width: 16, classes: 10, spread: nil, seed: 1),
      LabelledClusters(500, width: 16, classes: 10, spread: nil, seed: 2))
    let report = try evaluator(LinearProbe.self, quick).evaluate(context)
    let sigma = 100 * (0.1 * 0.9 / 500).squareRoot()
    XCTAssertEqual(try XCTUnwrap(report["linear.top1_last"]), 10, accuracy: 3 * sigma)
  }

  func testTheBestHeadIsChosenOnWhatIsAskedFor() throws {
    let context = try context(
      LabelledClusters(400, width: 8, classes: 4, spread: 2, seed: 1),
      LabelledClusters(200, width: 8, classes: 4, spread: 2, seed: 2))
    let yaml = "{mode: cached:eval, epochs: 8, batch: 64, base_lr: [0.00001, 0.3], select: holdout}"
    let report = try evaluator(LinearProbe.self, yaml).evaluate(context)
    XCTAssertEqual(report.selectedOn, "holdout")
    XCTAssertEqual(report["linear.selected_lr"], 0.3)
    XCTAssertEqual(report["linear.top1_last"], report["linear.lr0.3.top1_last"])
    XCTAssertEqual(report["linear.lr0.3.holdout_top1_last_of"], 40)
    XCTAssertNil(report["linear.top1_best"])
  }

  func testAHeadThatDivergesLeavesTheOthers() throws {
    // Weight decay above 2 / rate makes weights grow until they are no numbers.
    let context = try context(
      LabelledClusters(100, width: 4, classes: 4, spread: 0.5, seed: 1),
      LabelledClusters(50, width: 4, classes: 4, spread: 0.5, seed: 2))
    let yaml = "{mode: cached:eval, epochs: 50, batch: 16, base_lr: [1000, 0.1], weight_decay: 0.1}"
    let report = try evaluator(LinearProbe.self, yaml).evaluate(context)
    XCTAssertNil(report["linear.lr1000.0.top1_last"])
    XCTAssertEqual(report["linear.selected_lr"], 0.1)
    XCTAssertEqual(report.notes.count, 1)
    expectFailure(.nonFinite, "every head diverged") {
      _ = try evaluator(
        LinearProbe.self, "{mode: cached:eval, epochs: 50, batch: 16, base_lr: 1000, weight_decay: 0.1}"
      )
      .evaluate(context)
    }
  }

  func testDamagedFeaturesAndLabelsAreRefused() throws {
    let communicator = try sharedCommunicator()
    let good = LabelledClusters(60, width: 4, classes: 3, spread: 0.5, seed: 1)
    func evaluate(_ rows: Tensor, _ labels: [Int32], _ names: [String] = []) throws {
      let set = FeatureSet(dealing: rows, labels: labels, classNames: names, to: communicator)
      let context = EvaluationContext([.train: set, .val: good.dealt(communicator)], communicator: communicator)
      _ = try evaluator(LinearProbe.self, quick).evaluate(context)
    }
    let broken = good.rows.copy()
    broken.pointer[4 * 41 + 2] = .nan
    expectFailure(.nonFinite, "image 41") { try evaluate(broken, good.labels) }
    var labels = good.labels
    labels[17] = -1
    expectFailure(.badData, "1 of 60 images", "train", "no label") { try evaluate(good.rows, labels) }
    expectFailure(.badData, "class '3' has no image", "val") { try evaluate(good.rows, [3] + good.labels.dropFirst()) }
    expectFailure(.badData, "class 'd' has no image", "train") {
      try evaluate(good.rows, good.labels, ["a", "b", "c", "d"])
    }
    expectFailure(.badData, "'train' have the shape [2], those of 'val' [4]") {
      try evaluate(good.rows.reshaped([120, 2]).rows(0..<60), good.labels)
    }
    expectFailure(.badData, "one vector an image") { try evaluate(good.rows.reshaped([60, 2, 2]), good.labels) }
  }

  func testTrainingViewsNeedImages() throws {
    let context = try context(
      LabelledClusters(100, width: 4, classes: 4, spread: 0.5, seed: 1),
      LabelledClusters(50, width: 4, classes: 4, spread: 0.5, seed: 2))
    expectFailure(.inputMissing, "mode=cached:eval") {
      _ = try evaluator(LinearProbe.self, "{mode: cached:2, batch: 16}").evaluate(context)
    }
  }

  func testHeadsLearnFromImages() throws {
    let communicator = try sharedCommunicator()
    let splits = try DataSplits.open("synth:tinyshapes?n=60&size=16&hardness=0")
    let context = EvaluationContext(
      encoder: try smallEncoder(communicator), splits: splits, kind: FeatureKind(.concat), communicator: communicator)
    func loss(_ mode: String) throws -> Double {
      let yaml = "{mode: \"\(mode)\", epochs: 4, warmup_epochs: 1, batch: 16, base_lr: 0.5}"
      let report = try evaluator(LinearProbe.self, yaml).evaluate(context)
      XCTAssertEqual(report.provenance, mode == "augmented" ? .decision : .cached)
      return try XCTUnwrap(report["linear.lr0.5.train_loss"])
    }
    let losses = try ["augmented", "cached:2", "cached:eval"].map(loss)
    XCTAssertEqual(Set(losses).count, 3)
    XCTAssertTrue(losses.allSatisfy { $0 < log(10) }, "\(losses)")
  }
}

/// The recipes and the schedule.
final class LinearSettingsTests: XCTestCase {
  func testTheScheduleOfMAECT() {
    let settings = LinearSettings.recipe("mae-ct", isTiny: false)
    let peak = settings.rate(ofBase: 0.1)
    for (epoch, rate) in [(0, 0), (2.5, 0.2), (5, 0.4), (27.5, 0.2), (50, 0)] {
      XCTAssertEqual(peak * settings.schedule.factor(at: epoch), rate, accuracy: 1e-12)
    }
  }

  func testARatePerEpochStaysForTheEpoch() {
    let schedule = LinearSettings.recipe("moca", isTiny: false).schedule
    XCTAssertEqual(schedule.factor(at: 0.9), 1)
    XCTAssertEqual(schedule.factor(at: 50.99), 0.5, accuracy: 1e-12)
    XCTAssertEqual(schedule.factor(at: 99), 0.5 * (1 + cos(0.99 * .pi)), accuracy: 1e-12)
  }

  func testRecipesOfThePapers() {
    let moca = LinearSettings.recipe("moca", isTiny: false)
    XCTAssertEqual(moca.baseRates.count, 45)
    XCTAssertEqual(moca.baseRates.first, 0.0001)
    XCTAssertEqual(moca.baseRates.last, 9)
    XCTAssertTrue(moca.baseRates.contains(0.04))
    XCTAssertNil(moca.normEpsilon)
    let mae = LinearSettings.recipe("mae", isTiny: false)
    XCTAssertEqual([Double(mae.batch), mae.schedule.warmup, mae.normEpsilon], [16384, 10, 1e-6])
    XCTAssertEqual(mae.optimizer, .lars)
    let udi = LinearSettings.recipe("udi", isTiny: false)
    XCTAssertEqual([Double(udi.schedule.epochs), udi.baseRates[0]], [300, 0.02])
    XCTAssertEqual([moca, mae, udi].map(\.trainInterpolation), [.bilinear, .bicubic, .bilinear])
    let tiny = LinearSettings.recipe("mae-ct", isTiny: true)
    XCTAssertEqual(tiny.baseRates, [0.3, 0.1, 0.03, 0.01])
    XCTAssertEqual([tiny.batch, tiny.schedule.epochs], [256, 20])
    XCTAssertEqual(tiny.mode, .cached(passes: 1))
  }

  func testWrongParametersAreRefused() {
    expectFailure(.badConfig, "cached:0") { _ = try evaluator(LinearProbe.self, "mode: cached:0") }
    expectFailure(.badConfig, "same learning rate") { _ = try evaluator(LinearProbe.self, "base_lr: [0.1, 0.1]") }
    expectFailure(.badConfig, "warmup_epochs") { _ = try evaluator(LinearProbe.self, "{epochs: 3, warmup_epochs: 3}") }
    expectFailure(.badConfig, "allowed: mae-ct, moca, udi, mae") { _ = try evaluator(LinearProbe.self, "recipe: dino") }
    expectFailure(.badConfig, "base_lrs") { _ = try evaluator(LinearProbe.self, "base_lrs: [0.1]") }
  }
}
