import Basics
import Features
import Pipeline
import TestKit
import Tensors
import XCTest

@testable import Evaluation

/// Heads over ranks, and where their features come from. Collective: the same on all ranks.
final class LinearTrainingTests: XCTestCase {
  private let train = LabelledClusters(203, width: 16, classes: 7, spread: 1.5, seed: 1)
  private let val = LabelledClusters(101, width: 16, classes: 7, spread: 1.5, seed: 2)

  private func settings(_ change: (inout LinearSettings) -> Void = { _ in }) -> LinearSettings {
    var settings = LinearSettings.recipe("mae-ct", isTiny: true)
    settings.batch = 32
    settings.schedule.epochs = 6
    settings.schedule.warmup = 2
    settings.mode = .cachedEvaluation
    change(&settings)
    return settings
  }

  func testEveryHeadLearnsTheBitsOfOneRank() throws {
    let settings = settings()
    let communicator = try sharedCommunicator()
    let trained = try LinearTraining(settings, context(train, val, seed: 5)).trained()
    // The same without ranks: every batch from the whole rows.
    let alone = LinearHeads(
      .init(width: 16, classes: 7, normEpsilon: 1e-5, seed: 5), rates: settings.baseRates.map(settings.rate))
    var sampler = try EpochSampler(count: 203, globalBatch: 32, seed: 5)
    for step in 0..<6 * 6 {
      let images = sampler.indices(step: step, rank: 0, of: 1).sorted()
      let rows = images.flatMap { train.rows.rows($0..<$0 + 1).array }
      let factor = settings.schedule.factor(at: Double(step) / 6)
      _ = alone.learn(Tensor(rows, [32, 16]), labels: images.map { train.labels[$0] }, factor: factor)
    }
    let own = blockRange(count: 4, part: communicator.rank, of: communicator.size)
    XCTAssertEqual(trained.bank.rates.count, own.count)
    for (place, head) in own.enumerated() {
      XCTAssertEqual(trained.bank.weights(ofHead: place).array, alone.weights(ofHead: head).array)
      XCTAssertEqual(trained.bank.bias(ofHead: place).array, alone.bias(ofHead: head).array)
    }
    XCTAssertEqual(trained.bank.norm?.variance.array, alone.norm?.variance.array)
    let outcomes = try LinearTraining(settings, context(train, val, seed: 5)).run()
    let ranks = alone.ranks(val.rows, labels: val.labels[...])
    XCTAssertEqual(outcomes.map { $0.val.last?.top1 }, ranks.map { head in head.count { $0 == 0 } })
    XCTAssertEqual(outcomes.map { $0.val.last?.top5 }, ranks.map { head in head.count { $0 < 5 } })
    XCTAssertTrue(outcomes.allSatisfy { $0.val.count == 6 && $0.isFinite })
  }

  func testTheSameBitsWithMoreThreads() throws {
    let one = try LinearTraining(settings(), context(train, val)).trained()
    ThreadTeam.configure(threads: 3)
    defer { ThreadTeam.configure(threads: 1) }
    let three = try LinearTraining(settings(), context(train, val)).trained()
    XCTAssertEqual(one.bank.weights.array, three.bank.weights.array)
    XCTAssertEqual(one.outcomes, three.outcomes)
  }

  func testViewsAreDrawnForEveryEpochOrStored() throws {
    let communicator = try sharedCommunicator()
    var asked: [Int] = []
    func passes(_ mode: LinearMode) throws -> [Int] {
      asked = []
      let training = try LinearTraining(settings { $0.mode = mode }, context(train, val)) { pass throws(Failure) in
        asked.append(pass)
        return LabelledClusters(203, width: 16, classes: 7, spread: 1.5, seed: UInt64(10 + pass)).dealt(communicator)
      }
      _ = try training.trained()
      return asked
    }
    XCTAssertEqual(try passes(.augmented), [0, 1, 2, 3, 4, 5])
    XCTAssertEqual(try passes(.cached(passes: 2)), [0, 1])
    XCTAssertEqual(try passes(.cachedEvaluation), [])
  }

  func testStoredPassesAreTakenInTurn() throws {
    let communicator = try sharedCommunicator()
    func weights(_ mode: LinearMode, _ seeds: [UInt64]) throws -> [Float] {
      let training = try LinearTraining(settings { $0.mode = mode }, context(train, val)) { pass throws(Failure) in
        LabelledClusters(203, width: 16, classes: 7, spread: 1.5, seed: seeds[pass]).dealt(communicator)
      }
      return try training.trained().bank.weights.array
    }
    XCTAssertEqual(
      try weights(.cached(passes: 2), [20, 21]), try weights(.augmented, [20, 21, 20, 21, 20, 21]))
    XCTAssertNotEqual(try weights(.cached(passes: 1), [20]), try weights(.cached(passes: 2), [20, 21]))
  }

  func testImagesKeptApartAreNotLearnedFrom() throws {
    // Marked images would spoil the statistics of the norm if they were in any batch.
    let seen = try LinearTraining(settings { $0.selectsOnHoldout = true }, context(train, val)).keptApart
    XCTAssertEqual(seen.count, 70)
    for label in 0..<7 { XCTAssertEqual(seen.count { Int(train.labels[$0]) == label }, 10) }
    let spoilt = train.rows.copy()
    for image in seen { spoilt.rows(image..<image + 1).fill(1e6) }
    let communicator = try sharedCommunicator()
    let set = FeatureSet(dealing: spoilt, labels: train.labels, to: communicator)
    let context = EvaluationContext([.train: set, .val: val.dealt(communicator)], communicator: communicator)
    let trained = try LinearTraining(settings { $0.selectsOnHoldout = true }, context).trained()
    let largest = try XCTUnwrap(trained.bank.norm?.mean.array.map(abs).max())
    XCTAssertLessThan(largest, 10)
    XCTAssertTrue(trained.outcomes.allSatisfy { $0.holdout.count == 6 && $0.holdout[5].top5 <= 70 })
  }

  func testABatchThatIsTooLargeIsRefused() throws {
    expectFailure(.badConfig, "a batch of 300 images", "203") {
      _ = try LinearTraining(settings { $0.batch = 300 }, context(train, val))
    }
  }
}
