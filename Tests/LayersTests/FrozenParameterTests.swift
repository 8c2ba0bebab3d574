import Autodiff
import Layers
import Tensors
import TestKit
import XCTest

/// Parameters that are frozen from their declaration on have a weight and nothing else.
final class FrozenParameterTests: XCTestCase {
  private func build(freezing frozen: Set<String>) -> ParameterArena {
    let builder = ModelBuilder(seed: 7)
    builder.freezes = { frozen.contains($0) }
    for (name, count) in [("a", 21), ("b", 40), ("c", 16), ("d", 5)] {
      _ = builder.parameter(name, [count], .normal(std: 1))
    }
    return builder.build()
  }

  func testFrozenOnesStandBehindTheOthersAndHaveNoGradient() {
    let arena = build(freezing: ["a", "c"])
    XCTAssertEqual(arena.parameters.map(\.name), ["b", "d", "a", "c"])
    XCTAssertEqual(arena.trainable.map(\.name), ["b", "d"])
    XCTAssertEqual(arena.parameters.map(\.isFrozen), [false, false, true, true])
    XCTAssertEqual(arena.parameters.indices.map { arena.range(at: $0) }, [0..<40, 48..<53, 64..<85, 96..<112])
    XCTAssertEqual(arena.count, 112)
    XCTAssertEqual(arena.trainableCount, 64)
    XCTAssertEqual(arena.gradients.shape, [64])
    XCTAssertEqual(arena.emptyBlock().shape, [64])
    XCTAssertEqual(arena.parameterCount, 82)
    for parameter in arena.parameters {
      XCTAssertEqual(parameter.value.pointer, arena.weights.pointer + arena.range(of: parameter).lowerBound)
    }
    for (index, parameter) in arena.trainable.enumerated() {
      XCTAssertEqual(parameter.gradient.pointer, arena.gradients.pointer + arena.range(at: index).lowerBound)
      XCTAssertEqual(arena.slice(arena.emptyBlock(), at: index).shape, parameter.shape)
    }
  }

  func testValuesAndLayoutAreTheSameWhenNothingIsFrozen() {
    let (free, frozen) = (build(freezing: []), build(freezing: ["b", "d"]))
    XCTAssertEqual(free.trainableCount, free.count)
    XCTAssertEqual(free.parameters.map(\.name), ["a", "b", "c", "d"])
    for parameter in free.parameters {
      XCTAssertEqual(frozen[parameter.name]?.value.array, parameter.value.array, parameter.name)
    }
  }

  func testAFrozenModelHasNoGradientMemory() {
    let arena = build(freezing: ["a", "b", "c", "d"])
    XCTAssertEqual(arena.gradients.count, 0)
    XCTAssertEqual(arena.trainableCount, 0)
    XCTAssertEqual(arena.emptyBlock().count, 0)
    arena.zeroGradients()
  }

  func testMovedGradientsHoldTrainableOnesOnly() {
    let arena = build(freezing: ["b"])
    arena.placeGradients(
      in: Storage.unpooled(arena.trainableCount), reduced: Storage.unpooled(arena.trainableCount))
    XCTAssertEqual(arena.gradients.shape, [arena.trainableCount])
    XCTAssertEqual(arena["d"]?.gradient.pointer, arena.gradients.pointer + 48)
  }

  /// A block with a frozen half: gradients of the rest are those of the whole model, bit for bit.
  func testBackwardLeavesFrozenPartsOut() throws {
    func run(_ freezes: @escaping (String) -> Bool) -> (ParameterArena, Float) {
      let builder = ModelBuilder(seed: 3)
      builder.freezes = freezes
      let model = ViT(ViTConfiguration(width: 8, depth: 4, heads: 2, patch: 4, imgSize: 8), builder)
      let arena = builder.build()
      let loss = mean(model(Tensor(ExactRandom.floats(2 * 3 * 64, seed: 1), [2, 3, 8, 8])))
      loss.backward()
      return (arena, loss.value.item)
    }
    let isLower = { (name: String) in
      !name.hasPrefix("blocks.2.") && !name.hasPrefix("blocks.3.") && !name.hasPrefix("norm.")
    }
    let (whole, loss) = run { _ in false }
    let (half, sameLoss) = run(isLower)
    XCTAssertEqual(loss, sameLoss)
    XCTAssertEqual(half.trainable.map(\.name), whole.parameters.map(\.name).filter { !isLower($0) })
    for parameter in half.trainable {
      XCTAssertEqual(parameter.gradient.array, try XCTUnwrap(whole[parameter.name]).gradient.array, parameter.name)
      XCTAssertGreaterThan(parameter.gradient.array.map(abs).max() ?? 0, 0, parameter.name)
    }
  }
}
