import Autodiff
import Layers
import Optimizers
import TestKit
import Tensors
import XCTest

final class LayerDecayTests: XCTestCase {
  /// The sizes do not matter here, only the depth does.
  private func encoder(depth: Int, freezing frozen: Int = 0) -> ParameterArena {
    let builder = ModelBuilder(seed: 0)
    let lower = ["cls_token", "patch_embed."] + (0..<frozen).map { "blocks.\($0)." }
    builder.freezes = { name in frozen > 0 && lower.contains { name.hasPrefix($0) } }
    _ = ViT(ViTConfiguration(width: 8, depth: depth, heads: 2, patch: 4, imgSize: 8), builder)
    return builder.build()
  }

  private func scales(_ groups: [ParameterGroup], _ layer: String) -> Set<Double> {
    Set(groups.filter { $0.name == "\(layer).decay" || $0.name == "\(layer).no_decay" }.map(\.rateScale))
  }

  func testInvariant12ScalesOfBLAndH() {
    // The first trained block; the specification cuts H's value off instead of rounding it.
    for (depth, frozen, first, digit) in [
      (12, 6, 0.075419, 1e-6), (24, 12, 0.0056880, 1e-7), (32, 16, 0.0010153, 1e-7),
    ] {
      let groups = ParameterGroup.layerDecayed(
        encoder(depth: depth, freezing: frozen).parameters, depth: depth, decay: 0.65)
      XCTAssertEqual(scales(groups, "blocks.\(frozen)").count, 1)
      XCTAssertEqual(scales(groups, "blocks.\(frozen)").first ?? 0, first, accuracy: 0.5 * digit)
      XCTAssertEqual(scales(groups, "blocks.\(depth - 1)"), [0.65])
      XCTAssertEqual(scales(groups, "norm"), [1])
      XCTAssertEqual(
        groups.map(\.name),
        (frozen..<depth).flatMap { ["blocks.\($0).decay", "blocks.\($0).no_decay"] } + ["norm.no_decay"],
        "frozen layers are in no group")
    }
    let all = ParameterGroup.layerDecayed(encoder(depth: 12).parameters, depth: 12, decay: 0.65)
    XCTAssertEqual(scales(all, "stem").first ?? 0, 0.0036972, accuracy: 0.5e-7)
    XCTAssertEqual(scales(all, "blocks.0").first ?? 0, 0.0056880, accuracy: 0.5e-7)
  }

  func testEveryParameterIsInOneGroupThatDecaysItAsItShould() {
    let arena = encoder(depth: 3)
    let groups = ParameterGroup.layerDecayed(arena.parameters, depth: 3, decay: 0.5)
    let members = groups.flatMap { group in group.parameters.map { ($0.name, group.decays) } }
    XCTAssertEqual(members.map(\.0).sorted(), arena.parameters.map(\.name).sorted())
    for (name, decays) in members {
      XCTAssertEqual(decays, !name.hasSuffix(".bias") && !name.contains("norm"), name)
    }
    XCTAssertTrue(groups.allSatisfy { $0.ownDecay == nil && $0.ownRate == nil && $0.firstEpoch == 0 })
  }

  func testAHeadHasItsOwnRateFactorAndDecay() throws {
    let builder = ModelBuilder(seed: 0)
    let weight = builder.parameter("projector.fc1.weight", [3, 4], .constant(2))
    let scale = builder.parameter("projector.bn1.weight", [3], .constant(2))
    builder.freezes = { _ in true }
    let other = builder.parameter("projector.fc2.weight", [3, 4], .constant(2))
    let arena = builder.build()
    let groups = ParameterGroup.split("head", arena.parameters, rateScale: 5, ownDecay: 0.01)
    XCTAssertEqual(groups.map(\.name), ["head.decay", "head.no_decay"])
    XCTAssertEqual(groups.map(\.rateScale), [5, 5])
    // Without gradients only the decay moves weights: the factor of the rate counts, the run's decay does not.
    let optimizer = AdamW(arena: arena, groups: groups, betas: (0.9, 0.95))
    optimizer.update(UpdateContext(rate: 0.1, weightDecay: 0.5))
    expectClose(weight.value.array, [Float](repeating: 2 * (1 - 5 * 0.1 * 0.01), count: 12), relative: 1e-6)
    XCTAssertEqual(scale.value.array, [2, 2, 2])
    XCTAssertEqual(other.value.array, [Float](repeating: 2, count: 12))
  }
}
