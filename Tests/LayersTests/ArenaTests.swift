import Autodiff
import Layers
import Tensors
import TestKit
import XCTest

final class ArenaTests: XCTestCase {
  private func build(_ names: [String], seed: UInt64 = 7) -> ParameterArena {
    let builder = ModelBuilder(seed: seed)
    for name in names { _ = builder.parameter(name, [3, 7], .normal(std: 1)) }
    return builder.build()
  }

  func testSlicesAreAlignedAndPaddingIsZero() {
    let arena = build(["a", "b", "c"])
    XCTAssertEqual(arena.count, 3 * 32)
    XCTAssertEqual(arena.parameterCount, 3 * 21)
    var covered = Set<Int>()
    for parameter in arena.parameters {
      let range = arena.range(of: parameter)
      XCTAssertEqual(range.lowerBound % ParameterArena.alignment, 0)
      XCTAssertEqual(Int(bitPattern: parameter.value.pointer) % 64, 0)
      XCTAssertEqual(parameter.value.pointer, arena.weights.pointer + range.lowerBound)
      XCTAssertEqual(parameter.gradient.pointer, arena.gradients.pointer + range.lowerBound)
      covered.formUnion(range)
    }
    let flat = arena.weights.array
    for place in 0..<arena.count where !covered.contains(place) { XCTAssertEqual(flat[place], 0) }
  }

  func testInitialValuesDependOnSeedAndNameOnly() {
    let short = build(["a", "b"])
    let long = build(["z", "b", "a"])
    let other = build(["a", "b"], seed: 8)
    XCTAssertEqual(short["a"]?.value.array, long["a"]?.value.array)
    XCTAssertEqual(short["b"]?.value.array, long["b"]?.value.array)
    XCTAssertNotEqual(short["a"]?.value.array, short["b"]?.value.array)
    XCTAssertNotEqual(short["a"]?.value.array, other["a"]?.value.array)
  }

  func testScopesJoinNamesInOrderOfDeclaration() {
    let builder = ModelBuilder(seed: 0)
    builder.scope("decoder") {
      _ = Linear("embed", from: 4, to: 8, builder)
      builder.scope("blocks") { _ = LayerNorm("0", width: 4, builder) }
    }
    let names = builder.build().parameters.map(\.name)
    XCTAssertEqual(
      names, ["decoder.embed.weight", "decoder.embed.bias", "decoder.blocks.0.weight", "decoder.blocks.0.bias"])
  }

  func testInitialisers() {
    let builder = ModelBuilder(seed: 3)
    let xavier = builder.parameter("xavier", [60, 40], .xavierUniform(fanIn: 40, fanOut: 60))
    let normal = builder.parameter("normal", [2000], .normal(std: 0.02))
    let uniform = builder.parameter("uniform", [2000], .uniform(bound: 0.5))
    let constant = builder.parameter("constant", [5], .constant(2.5))
    let ones = builder.parameter("ones", [5], .ones)
    _ = builder.build()
    let bound = (6.0 / 100).squareRoot()
    XCTAssertTrue(xavier.value.array.allSatisfy { abs(Double($0)) <= bound })
    XCTAssertEqual(deviation(xavier.value.array), bound / 3.0.squareRoot(), accuracy: 0.005)
    XCTAssertEqual(deviation(normal.value.array), 0.02, accuracy: 0.001)
    XCTAssertEqual(deviation(uniform.value.array), 0.5 / 3.0.squareRoot(), accuracy: 0.01)
    XCTAssertEqual(constant.value.array, [2.5, 2.5, 2.5, 2.5, 2.5])
    XCTAssertEqual(ones.value.array, [1, 1, 1, 1, 1])
  }

  func testZeroGradients() {
    let arena = build(["a"])
    arena.gradients.fill(3)
    arena.zeroGradients()
    XCTAssertTrue(arena.gradients.array.allSatisfy { $0 == 0 })
  }

  func testGradientsMoveAndWeightsStay() {
    let arena = build(["a", "b"])
    let weights = arena.weights.array
    arena.gradients.fill(3)
    XCTAssertEqual(arena.reducedGradients.pointer, arena.gradients.pointer)
    let reduced = Storage.unpooled(arena.count)
    arena.placeGradients(in: Storage.unpooled(arena.count + 5), reduced: reduced)
    XCTAssertTrue(arena.reducedGradients.storage === reduced)
    XCTAssertEqual(arena.reducedGradients.shape, [arena.count])
    XCTAssertEqual(arena.weights.array, weights)
    XCTAssertEqual(arena.gradients.shape, [arena.count])
    XCTAssertTrue(arena.gradients.array.allSatisfy { $0 == 0 })
    for parameter in arena.parameters {
      let range = arena.range(of: parameter)
      XCTAssertEqual(parameter.value.pointer, arena.weights.pointer + range.lowerBound)
      XCTAssertEqual(parameter.gradient.pointer, arena.gradients.pointer + range.lowerBound)
    }
  }

  private func deviation(_ values: [Float]) -> Double {
    let mean = values.reduce(0) { $0 + Double($1) } / Double(values.count)
    return (values.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / Double(values.count)).squareRoot()
  }
}
