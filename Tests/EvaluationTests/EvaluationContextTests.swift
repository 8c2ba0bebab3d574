import Basics
import Evaluation
import Features
import Images
import Pipeline
import Tensors
import XCTest

final class EvaluationContextTests: XCTestCase {
  private let kinds = [FeatureKind(.concat), FeatureKind(.patches([1, 2])), FeatureKind(.tokens)]

  func testFeaturesOfAnEncoderHaveTheSameBitsForEveryBatchSizeAndEveryNumberOfRanks() throws {
    let world = try sharedCommunicator()
    let encoder = try smallEncoder(world)
    let splits = try DataSplits.open("synth:tinyshapes?n=21&size=16")
    for split in [Split.train, .val] {
      let images = try evaluationBatch(try splits.source(split), indices: Array(0..<21), size: 16)
      let whole = ProductEngine.withNative { encoder.features(images, kinds) }
      for batch in [1, 5, 32] {
        let context = EvaluationContext(encoder: encoder, splits: splits, kind: kinds[0], communicator: world)
        context.options.batch = batch
        let sets = try context.features(split, kinds: kinds)
        for (set, expected) in zip(sets, whole) {
          XCTAssertEqual(set.rows.array, expected.rows(set.range).array, "\(split), batch \(batch)")
        }
        XCTAssertEqual(try context.features(split).rows.array, sets[0].rows.array)
        XCTAssertEqual(sets.map(\.origin.feature), ["concat", "patches:1,2", "tokens"])
        XCTAssertEqual(sets[0].origin.checkpoint, encoder.path)
        XCTAssertEqual(sets[0].origin.weights, "student")
      }
    }
  }

  func testEvaluationFeaturesAreMadeOnceAndTrainingViewsEveryTime() throws {
    let world = try sharedCommunicator()
    let splits = try DataSplits.open("synth:tinyshapes?n=20&size=16")
    var images = 0
    func context(seed: UInt64) throws -> EvaluationContext {
      let context = EvaluationContext(
        encoder: try smallEncoder(world), splits: splits, kind: kinds[0], seed: seed, communicator: world)
      context.options.batch = 1
      context.options.progress = { _, _ in images += 1 }
      return context
    }
    let first = try context(seed: 1)
    let own = try first.features(.val).range.count
    XCTAssertEqual(images, own)
    _ = try first.features(.val)
    XCTAssertEqual(images, own)
    _ = try first.features(.val, kinds: kinds)
    XCTAssertEqual(images, 2 * own)
    let pass = try first.features(.train, pass: 2, .bicubic)
    XCTAssertEqual(images, 3 * own)
    XCTAssertEqual(try first.features(.train, pass: 2, .bicubic).rows.array, pass.rows.array)
    XCTAssertEqual(images, 4 * own)
    XCTAssertNotEqual(try first.features(.train, pass: 3, .bicubic).rows.array, pass.rows.array)
    XCTAssertNotEqual(try context(seed: 2).features(.train, pass: 2, .bicubic).rows.array, pass.rows.array)
    XCTAssertEqual(pass.origin.transform, "train(16, bicubic, seed 1, pass 2)")
  }

  func testImagesAreResizedAsAskedFor() throws {
    let world = try sharedCommunicator()
    func context(_ interpolation: Interpolation) throws -> EvaluationContext {
      EvaluationContext(
        encoder: try smallEncoder(world), splits: try DataSplits.open("synth:tinyshapes?n=20&size=24"), kind: kinds[0],
        interpolation: interpolation, communicator: world)
    }
    let (cubic, linear) = (try context(.bicubic), try context(.bilinear))
    XCTAssertEqual(try linear.features(.val).origin.transform, "eval(16, bilinear)")
    XCTAssertNotEqual(try linear.features(.val).rows.array, try cubic.features(.val).rows.array)
    let pass = try cubic.features(.train, pass: 1, .bilinear)
    XCTAssertEqual(pass.origin.transform, "train(16, bilinear, seed 0, pass 1)")
    XCTAssertEqual(pass.rows.array, try linear.features(.train, pass: 1, .bilinear).rows.array)
    XCTAssertNotEqual(pass.rows.array, try cubic.features(.train, pass: 1, .bicubic).rows.array)
  }

  func testWhatIsNotThereIsNamed() throws {
    let world = try sharedCommunicator()
    let given = EvaluationContext(
      [.val: FeatureSet(dealing: Tensor(zeros: [5, 2]), labels: [0, 0, 1, 1, 1], to: world)], communicator: world)
    XCTAssertEqual(try given.features(.val).count, 5)
    let single = EvaluationContext(
      encoder: try smallEncoder(world), splits: try DataSplits.open("synth:tinyshapes?n=20&size=16&split=val"),
      kind: kinds[0], communicator: world)
    let failures: [(ExitCode, () throws -> Void)] = [
      (.inputMissing, { _ = try given.features(.train) }),
      (.inputMissing, { _ = try given.features(.val, pass: 0, .bicubic) }),
      (.inputMissing, { _ = try single.features(.train) }),
      (.usage, { _ = try single.features(.val, kinds: [FeatureKind(.classToken(1))]) }),
    ]
    for (code, body) in failures {
      XCTAssertThrowsError(try body()) { XCTAssertEqual(($0 as? Failure)?.code, code, "\($0)") }
    }
  }
}
