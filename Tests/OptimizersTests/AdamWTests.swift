import Autodiff
import Basics
import Layers
import Optimizers
import Tensors
import TestKit
import XCTest

final class AdamWTests: XCTestCase {
  private let golden = Golden.load("mae_adamw")
  private let names = ["a.weight", "a.bias", "token"]

  /// The golden's three parameters with their first values.
  private func start() -> ParameterArena {
    let builder = ModelBuilder(seed: 0)
    for name in names { _ = builder.parameter(name, Shape(golden.shape("\(name)/0")), .zeros) }
    let arena = builder.build()
    for name in names { copy("\(name)/0", to: arena[name]?.value) }
    return arena
  }

  private func copy(_ key: String, to tensor: Tensor?) {
    for (i, value) in golden.floats(key).enumerated() { tensor?.pointer[i] = value }
  }

  func testTenStepsEqualPyTorch() throws {
    let arena = start()
    let optimizer = AdamW(arena: arena, groups: ParameterGroup.split(arena), betas: (0.9, 0.95))
    for step in 1...10 {
      for name in names { copy("\(name)/gradient/\(step)", to: arena[name]?.gradient) }
      optimizer.update(UpdateContext(rate: 0.01 * Double(step), weightDecay: 0.05))
      for name in names {
        let value = try XCTUnwrap(arena[name]).value.array
        XCTAssertLessThan(relativeError(value, golden.floats("\(name)/\(step)")), 1e-5, "\(name) after \(step)")
      }
    }
    XCTAssertEqual(optimizer.updates, 10)
    let wrong = try XCTUnwrap(arena["token"]).value.array.map { $0 * 1.0001 }
    XCTAssertGreaterThan(relativeError(wrong, golden.floats("token/10")), 1e-5, "the comparison can fail")
  }

  func testInvariant12NoDecay() throws {
    let arena = start()
    let before = Dictionary(uniqueKeysWithValues: arena.parameters.map { ($0.name, $0.value.array) })
    let optimizer = AdamW(arena: arena, groups: ParameterGroup.split(arena), betas: (0.9, 0.95))
    optimizer.update(UpdateContext(rate: 0.1, weightDecay: 0.5))  // all gradients are 0
    XCTAssertEqual(arena["a.bias"]?.value.array, before["a.bias"])
    for name in ["a.weight", "token"] {
      let expected = try XCTUnwrap(before[name]).map { $0 * (1 - 0.1 * 0.5) }
      expectClose(try XCTUnwrap(arena[name]).value.array, expected, relative: 1e-6, absolute: 0, name)
    }
  }

  func testInvariant12SplitFollowsTheReferences() {
    let builder = ModelBuilder(seed: 0)
    let configuration = ViTConfiguration(width: 16, depth: 1, heads: 2, patch: 4, imgSize: 8)
    _ = ViT(configuration, builder)
    _ = MAEDecoder(DecoderConfiguration(width: 8, depth: 1, heads: 2), of: configuration, builder)
    let arena = builder.build()
    let groups = ParameterGroup.split(arena)
    XCTAssertEqual(groups.map(\.name), ["decay", "no_decay"])
    XCTAssertEqual(groups.map(\.decays), [true, false])
    let decayed = Set(groups[0].parameters.map(\.name))
    for name in ["cls_token", "decoder.mask_token", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight"] {
      XCTAssertTrue(decayed.contains(name), name)
    }
    for name in ["patch_embed.proj.bias", "blocks.0.norm1.weight", "norm.bias", "decoder.pred.bias"] {
      XCTAssertFalse(decayed.contains(name), name)
    }
    XCTAssertEqual(groups.reduce(0) { $0 + $1.parameters.count }, arena.parameters.count)
    arena["cls_token"]?.isFrozen = true
    XCTAssertFalse(ParameterGroup.split(arena)[0].parameters.contains { $0.name == "cls_token" })
  }

  func testAGroupThatStartsLaterIsLeftAloneUntilThen() throws {
    let arena = start()
    let token = try XCTUnwrap(arena["token"])
    let weight = try XCTUnwrap(arena["a.weight"])
    let optimizer = AdamW(
      arena: arena,
      groups: [
        ParameterGroup("now", [weight], decays: true), ParameterGroup("later", [token], decays: true, firstEpoch: 1),
      ], betas: (0.9, 0.95))
    arena.gradients.fill(1)
    let before = token.value.array
    optimizer.update(UpdateContext(rate: 0.1, weightDecay: 0.5, epoch: 0))
    XCTAssertEqual(token.value.array, before)
    XCTAssertTrue(optimizer.firstMoment.array[arena.range(of: token)].allSatisfy { $0 == 0 })
    optimizer.update(UpdateContext(rate: 0.1, weightDecay: 0, epoch: 1))
    // A first update moves every weight by the learning rate: its corrections start afresh.
    expectClose(token.value.array, before.map { $0 - 0.1 }, relative: 1e-5, absolute: 1e-6)
  }

  func testRatesOfGroups() throws {
    let arena = start()
    let (token, bias) = try (XCTUnwrap(arena["token"]), XCTUnwrap(arena["a.bias"]))
    let before = (token.value.array, bias.value.array)
    let optimizer = AdamW(
      arena: arena,
      groups: [
        ParameterGroup("slow", [token], decays: false, rateScale: 0.5),
        ParameterGroup("own", [bias], decays: true, ownRate: 0.01, ownDecay: 0),
      ], betas: (0.9, 0.95))
    arena.gradients.fill(-2)
    optimizer.update(UpdateContext(rate: 0.1, weightDecay: 0.5))
    expectClose(token.value.array, before.0.map { $0 + 0.05 }, relative: 1e-5, absolute: 1e-6, "scaled rate")
    expectClose(bias.value.array, before.1.map { $0 + 0.01 }, relative: 1e-5, absolute: 1e-6, "own rate")
  }

  func testGradientScaleEqualsScaledGradients() {
    func run(_ scale: Float, _ gradient: Float) -> [Float] {
      let arena = start()
      let optimizer = AdamW(arena: arena, groups: ParameterGroup.split(arena), betas: (0.9, 0.95), eps: 0.1)
      for _ in 0..<3 {
        arena.gradients.fill(gradient)
        optimizer.update(UpdateContext(rate: 0.1, weightDecay: 0.05, gradientScale: .all(scale)))
      }
      return optimizer.state.isEmpty ? [] : arena.weights.array
    }
    expectClose(run(0.25, 0.4), run(1, 0.1), relative: 1e-6, absolute: 1e-7)
    XCTAssertNotEqual(run(0.25, 0.4), run(1, 0.4), "the comparison can fail")
  }

  /// A factor for each parameter acts on its own gradient alone.
  func testScalesOfParametersEqualScaledGradients() {
    func run(_ scales: [Float], _ factors: [Float]) -> [Float] {
      let arena = start()
      let optimizer = AdamW(arena: arena, groups: ParameterGroup.split(arena), betas: (0.9, 0.95), eps: 0.1)
      for (index, factor) in factors.enumerated() { arena.slice(arena.gradients, at: index).fill(0.4 * factor) }
      optimizer.update(UpdateContext(rate: 0.1, weightDecay: 0.05, gradientScale: .each(scales)))
      return arena.weights.array
    }
    let count = start().trainable.count
    let scales = (0..<count).map { 1 / Float($0 + 2) }
    let ones = [Float](repeating: 1, count: count)
    expectClose(run(scales, ones), run(ones, scales), relative: 1e-6, absolute: 1e-7)
    XCTAssertNotEqual(run(scales, ones), run(ones, ones), "the comparison can fail")
  }

  /// Where ranks share gradients the sums lie apart from what backward writes: the update takes the sums.
  func testUpdatesTakeReducedGradients() {
    func run(apart: Bool) -> [Float] {
      let arena = start()
      if apart {
        let count = arena.trainableCount
        arena.placeGradients(in: Storage.unpooled(count), reduced: Storage.unpooled(count))
        arena.gradients.fill(.nan)
      }
      arena.reducedGradients.fill(0.4)
      AdamW(arena: arena, groups: ParameterGroup.split(arena), betas: (0.9, 0.95))
        .update(UpdateContext(rate: 0.1, weightDecay: 0.05))
      return arena.weights.array
    }
    XCTAssertEqual(run(apart: true), run(apart: false))
  }

  func testThreadsDoNotChangeUpdatesAndAverages() {
    func run(threads: Int) -> [Float] {
      ThreadTeam.configure(threads: threads)
      defer { ThreadTeam.configure(threads: 1) }
      let builder = ModelBuilder(seed: 2)
      for (name, count) in [("a", 70_001), ("b.bias", 5), ("c", 33_000)] {
        _ = builder.parameter(name, [count, 1], .normal(std: 1))
      }
      let arena = builder.build()
      let optimizer = AdamW(arena: arena, groups: ParameterGroup.split(arena), betas: (0.9, 0.95))
      let average = EMACopy(of: arena)
      for _ in 0..<2 {
        arena.gradients.assign(arena.weights)
        optimizer.update(UpdateContext(rate: 0.1, weightDecay: 0.05))
        average.follow(momentum: 0.9)
      }
      return arena.weights.array + average.weights.array
    }
    let one = run(threads: 1)
    XCTAssertEqual(run(threads: 2), one)
    XCTAssertEqual(run(threads: 3), one)
  }

  func testStateNamesEveryMoment() {
    let arena = start()
    let optimizer = AdamW(arena: arena, groups: ParameterGroup.split(arena), betas: (0.9, 0.95))
    XCTAssertEqual(
      optimizer.state.map(\.name),
      names.map { "optimizer/m/\($0)" } + names.map { "optimizer/v/\($0)" } + ["optimizer/updates"])
    XCTAssertEqual(optimizer.state.map(\.shape), [[5, 7], [5], [1, 1, 9], [5, 7], [5], [1, 1, 9], [3]])
    guard case .integers(let counts) = optimizer.state[6].payload else { return XCTFail("counts are integers") }
    counts[0] = 41
    XCTAssertEqual(optimizer.updates, 41, "the state is the optimiser's own memory")
  }
}
