import Autodiff
import Basics
import Layers
import Messaging
import Methods
import TestKit
import Tensors
import XCTest

/// What moves in a step of head initialisation, tuning and joint training, when, and what does not.
///
/// Collective: all ranks run the same tests in the same order.
final class TuningStateTests: XCTestCase {
  private static let settings = """
    nnclr: {queue_size: 24, top_k: 3, proj_hidden: 10, pred_hidden: 12, out_dim: 6}
    augment: {views: 2}
    queue: {placement: replicated}
    """
  private let images = [3, 1, 4, 15, 9, 2, 6, 5, 35, 8]

  private func training(_ stage: String, _ extra: String = "") throws -> TinyTraining {
    try TinyTraining(
      TinyRun("mae-ct", stage: stage, Self.settings + "\n" + extra, batch: images.count), globalBatch: images.count)
  }

  private func values(_ training: TinyTraining) -> [String: [Float]] {
    var all: [String: [Float]] = [:]
    for parameter in training.run.arena.parameters { all[parameter.name] = parameter.value.array }
    for state in training.run.method.state {
      switch state.payload {
      case .floats(let tensor): all[state.name] = tensor.array
      case .integers(let block): all[state.name] = (0..<block.count).map { Float(block[$0]) }
      case .global: XCTFail("\(state.name) is whole on every rank")
      }
    }
    return all
  }

  private func moved(_ before: [String: [Float]], _ after: [String: [Float]]) -> Set<String> {
    Set(before.keys.filter { before[$0] != after[$0] })
  }

  func testInvariant09OnlyTheUpperHalfMovesInTuning() throws {
    let training = try training("tune")
    let before = values(training)
    _ = try training.step(images, rate: 1e-2) {
      XCTAssertEqual(self.moved(before, self.values(training)), [], "nothing moves before the update")
    }
    let moved = moved(before, values(training))
    let upper = training.run.arena.trainable.map(\.name)
    XCTAssertTrue(Set(upper).isSubset(of: moved))
    XCTAssertTrue(upper.contains("blocks.1.attn.qkv.weight") && upper.contains("norm.weight"))
    for name in before.keys where ["blocks.0.", "patch_embed.", "cls_token", "pos"].contains(where: name.hasPrefix) {
      XCTAssertFalse(moved.contains(name), name)
      XCTAssertFalse(moved.contains("ema/\(name)"), "ema/\(name)")
    }
    for name in [
      "ema/norm.weight", "target/projector.fc1.weight", "queue/vectors", "buffers/predictor.bn1.running_var",
    ] {
      XCTAssertTrue(moved.contains(name), name)
    }
  }

  func testInvariant09TheEncoderStaysInHeadInitialisation() throws {
    let training = try training("head")
    let before = values(training)
    for _ in 0..<3 { _ = try training.step(images, rate: 1e-2) }
    let moved = moved(before, values(training))
    let head = ["projector.", "predictor.", "buffers/", "queue/"]
    XCTAssertEqual(moved.filter { name in !head.contains { name.hasPrefix($0) } }, [])
    XCTAssertTrue(moved.contains("projector.fc1.weight") && moved.contains("predictor.fc2.weight"))
    XCTAssertEqual(before.keys.filter { $0.hasPrefix("ema/") || $0.hasPrefix("target/") }, [])
  }

  func testInvariant13AveragesFollowByTheirMomentum() throws {
    let training = try training(
      "tune", "ema: {encoder: 0.75}\nstages: [{name: tune, from: null, nnclr: {target_ema: 0.9}}]")
    var target = try XCTUnwrap(values(training)["target/projector.fc2.weight"])
    var average = try XCTUnwrap(values(training)["ema/blocks.1.mlp.fc1.weight"])
    for _ in 0..<3 {
      _ = try training.step(images, rate: 1e-2)
      let now = values(training)
      target = zip(target, try XCTUnwrap(now["projector.fc2.weight"])).map { 0.9 * $0 + (1 - 0.9) * $1 }
      average = zip(average, try XCTUnwrap(now["blocks.1.mlp.fc1.weight"])).map { 0.75 * $0 + 0.25 * $1 }
      expectClose(try XCTUnwrap(now["target/projector.fc2.weight"]), target, absolute: 1e-7)
      expectClose(try XCTUnwrap(now["ema/blocks.1.mlp.fc1.weight"]), average, absolute: 1e-7)
      XCTAssertEqual(
        now["target_buffers/projector.bn2.running_var"], now["buffers/projector.bn2.running_var"],
        "copied, not averaged")
    }
    XCTAssertEqual(values(training)["buffers/projector.bn1.num_batches_tracked"], [6], "two updates a step")
  }

  /// A step that is repeated to be recorded finds everything as it was.
  func testALossThatIsComputedTwiceIsTheSame() throws {
    let training = try training("tune")
    _ = try training.step(images, rate: 1e-2)
    let block = blockRange(count: images.count, part: training.communicator.rank, of: training.communicator.size)
    let batch = training.run.batch(Array(images[block]), globalBatch: images.count)
    let before = values(training)
    let losses = try (0..<2).map { _ in
      let draws = DrawRecorder()
      let loss = try training.run.method.loss(batch, at: training.run.step(1, draws)).total.value.item
      return (loss, draws.entries)
    }
    XCTAssertEqual(losses[0].0, losses[1].0)
    XCTAssertEqual(losses[0].1, losses[1].1)
    XCTAssertEqual(moved(before, values(training)), [])
  }

  func testInvariant07PicksAreUniform() throws {
    let training = try training("tune")
    var counts = [0, 0, 0]
    for epoch in 0..<100 {
      let batch = training.run.batch(images, globalBatch: images.count, epoch: epoch)
      for view in [0, 1] {
        for pick in NNCLRPicks.drawn(batch, view: view, k: 3, seed: 5) { counts[pick] += 1 }
      }
    }
    let expected = 2 * 100 * Double(images.count) / 3
    let chiSquare = counts.reduce(0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected }
    XCTAssertLessThan(chiSquare, 13.8, "one in a thousand at two degrees of freedom: \(counts)")
  }

  func testEvaluationUsesTheAveragedEncoder() throws {
    let pixels = Tensor(ExactRandom.floats(2 * 768, seed: 1), [2, 3, 16, 16])
    let still = try training("tune", "ema: {encoder: 1}")
    let current = try training("tune", "ema: {encoder: 0}")
    let start = still.run.method.encode(pixels).array
    XCTAssertEqual(current.run.method.encode(pixels).array, start)
    for training in [still, current] { _ = try training.step(images, rate: 1e-2) }
    XCTAssertEqual(still.run.method.encode(pixels).array, start)
    XCTAssertNotEqual(current.run.method.encode(pixels).array, start)
    XCTAssertEqual(still.run.method.headFeatures(pixels)?.shape.dims, [2, 6])
  }

  func testInheritedWeightsAreWhereTheSlowCopiesBegin() throws {
    let training = try training("tune")
    for parameter in training.run.arena.parameters { parameter.value.fill(0.5) }
    training.run.method.didInherit(["encoder", "head"])
    let values = values(training)
    XCTAssertEqual(Set(values["target/projector.fc1.weight"] ?? []), [0.5])
    XCTAssertEqual(Set(values["ema/blocks.0.attn.qkv.weight"] ?? []), [0.5])
    XCTAssertEqual(training.run.method.heritage.map(\.part), ["encoder", "head", "queue"])
    XCTAssertEqual(training.run.method.heritage.map(\.isRequired), [true, false, false])
  }

  func testWarnsOfAQueueThatIsLargerThanTheData() throws {
    let method = try training("tune").run.method
    XCTAssertEqual(method.warnings(images: 96), [])
    XCTAssertTrue(try XCTUnwrap(method.warnings(images: 95).first).contains("at most 23"))
    XCTAssertTrue(try XCTUnwrap(method.warnings(images: 20).first).contains("larger than the data set of 20 images"))
  }

  /// Forward only below the trained blocks, three times as much above, for two views.
  func testCost() throws {
    let head = try training("head").run
    let tune = try training("tune").run
    let all = try training("tune", "stages: [{name: tune, from: null, freeze: none}]").run
    let cost = head.context.vit.cost()
    XCTAssertEqual(head.method.flopsPerImage, 2 * cost.forwardFlops)
    XCTAssertEqual(all.method.flopsPerImage, 2 * cost.trainingFlops)
    XCTAssertEqual(tune.method.flopsPerImage, 2 * (cost.forwardFlops + 4 * cost.layers / 2))
  }

  // MARK: joint training

  func testJointLossIsTheWeightedSumAndDetachedTeachesTheEncoderNothing() throws {
    func gradients(_ stage: String) throws -> (loss: [Double], encoder: [String: [Float]]) {
      let training = try training("mae", stage)
      let block = blockRange(count: images.count, part: training.communicator.rank, of: training.communicator.size)
      let batch = training.run.batch(Array(images[block]), globalBatch: images.count)
      training.run.arena.zeroGradients()
      let report = try training.run.method.loss(batch, at: training.run.step())
      report.total.backward()
      var encoder: [String: [Float]] = [:]
      for parameter in training.run.arena.trainable where !parameter.name.hasPrefix("pr") {
        encoder[parameter.name] = parameter.gradient.array
      }
      return ([Double(report.total.value.item)] + report.parts.map(\.value), encoder)
    }
    let plain = try gradients("")
    let joint = try gradients("stages: [{name: mae, nnclr: {weight: 0.5}}]")
    let detached = try gradients("stages: [{name: mae, nnclr: {weight: 0.5, detached: true}}]")
    XCTAssertEqual(plain.loss.count, 2)
    XCTAssertEqual(joint.loss[0], joint.loss[1] + 0.5 * joint.loss[2], accuracy: 1e-6)
    XCTAssertEqual(joint.loss[1], plain.loss[0])
    XCTAssertEqual(joint.loss, detached.loss)
    XCTAssertEqual(detached.encoder, plain.encoder)
    XCTAssertNotEqual(joint.encoder["norm.weight"], plain.encoder["norm.weight"])
  }
}
