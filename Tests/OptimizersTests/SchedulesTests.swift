import Foundation
import Layers
import Optimizers
import Tensors
import TestKit
import XCTest

final class SchedulesTests: XCTestCase {
  func testInvariant12LearningRate() {
    let rate = WarmupCosine(peak: 8e-4, warmup: 5004, total: 25020)
    XCTAssertEqual(rate.value(at: 0), 8e-4 / 5005, accuracy: 1e-15)
    XCTAssertEqual(rate.value(at: 5003), 8e-4 * 5004 / 5005, accuracy: 1e-15)
    XCTAssertEqual(rate.value(at: 5004), 8e-4)
    XCTAssertEqual(rate.value(at: 5004 + 10008), 4e-4, accuracy: 1e-12)
    XCTAssertGreaterThan(rate.value(at: 25019), 0)
    XCTAssertLessThan(rate.value(at: 25019), 1e-10)
    let values = (0..<25020).map { rate.value(at: $0) }
    XCTAssertEqual(values.filter { $0 == 8e-4 }.count, 1, "the peak is reached once")
    XCTAssertEqual(values.max(), 8e-4)
  }

  func testFloorAndNoWarmup() {
    let rate = WarmupCosine(peak: 1, warmup: 0, total: 10, floor: 0.1)
    XCTAssertEqual(rate.value(at: 0), 1)
    XCTAssertEqual(rate.value(at: 5), 0.55, accuracy: 1e-12)
    XCTAssertEqual(rate.value(at: 10), 0.1, accuracy: 1e-12)
    XCTAssertEqual(rate.value(at: 50), 0.1, accuracy: 1e-12)
  }

  func testLinearScaling() {
    XCTAssertEqual(linearScaledRate(base: 1.5e-4, globalBatch: 1024, views: 2), 1.2e-3, accuracy: 1e-15)
    XCTAssertEqual(linearScaledRate(base: 1.5e-4, globalBatch: 4096, views: 1), 2.4e-3, accuracy: 1e-15)
  }
}

final class GradientClipTests: XCTestCase {
  /// Norms 4 and 0.3.
  private let sums = [16.0, 0.09]

  func testGlobalNormGivesOneFactor() {
    let factor = Float(2 / (16.09.squareRoot() + 1e-6))
    XCTAssertEqual(GradientClip.globalNorm(2).scale(sumsOfSquares: sums), .all(factor))
    XCTAssertEqual(GradientClip.globalNorm(5).scale(sumsOfSquares: sums), .all(1))
    XCTAssertEqual(GradientClip.none.scale(sumsOfSquares: sums), .all(1))
    XCTAssertEqual(GradientScale.all(factor)[7], factor)
  }

  func testPerTensorScalesOnlyLargeTensors() {
    let scale = GradientClip.perTensor(1).scale(sumsOfSquares: sums)
    XCTAssertEqual(scale, .each([Float(1 / (4 + 1e-6)), 1]))
    XCTAssertEqual([scale[0], scale[1]], [Float(1 / (4 + 1e-6)), 1])
  }
}

final class EMACopyTests: XCTestCase {
  private func arena(_ names: [String], seed: UInt64) -> ParameterArena {
    let builder = ModelBuilder(seed: seed)
    for name in names { _ = builder.parameter(name, [3, 7], .normal(std: 1)) }
    return builder.build()
  }

  func testInvariant13FrozenSourceShrinksGeometrically() {
    let source = arena(["a", "b"], seed: 1)
    let copy = EMACopy(of: source)
    XCTAssertEqual(copy.weights.array, source.weights.array, "the copy starts equal")
    for i in 0..<source.count { source.weights.pointer[i] += 1 }
    for _ in 0..<50 { copy.follow(momentum: 0.99) }
    let expected = Float(1 - pow(0.99, 50))
    for (place, parameter) in source.parameters.enumerated() {
      let moved = zip(copy.arena.slice(copy.weights, at: place).array, parameter.value.array).map { $0 - ($1 - 1) }
      expectClose(moved, moved.map { _ in expected }, relative: 1e-4, absolute: 1e-5, parameter.name)
    }
  }

  func testMomentumOneStaysAndZeroCopies() {
    let source = arena(["a", "b"], seed: 1)
    let copy = EMACopy(of: source)
    let before = copy.weights.array
    source["a"]?.value.fill(5)
    copy.follow(momentum: 1)
    XCTAssertEqual(copy.weights.array, before)
    copy.follow(momentum: 0)
    XCTAssertEqual(copy.weights.array, source.weights.array)
  }

  func testATeacherWithFewerPartsFollowsByName() throws {
    let source = arena(["head", "blocks", "decoder"], seed: 1)
    let teacher = arena(["decoder", "head"], seed: 2)
    let copy = EMACopy(of: source, into: teacher)
    XCTAssertEqual(copy.names, ["decoder", "head"])
    XCTAssertEqual(teacher["head"]?.value.array, source["head"]?.value.array)
    XCTAssertTrue(teacher.parameters.allSatisfy(\.isFrozen))
    XCTAssertEqual(copy.state("teacher").map(\.name), ["teacher/decoder", "teacher/head"])
  }

  /// f_m(t) - f = m^t (f_m(0) - f), with the momentum of the paper.
  func testInvariant13DecayOfTheDistance() throws {
    let source = arena(["a", "b"], seed: 1)
    let copy = EMACopy(of: source)
    let start = copy.weights.array
    source.weights.fill(0.5)
    for _ in 0..<1000 { copy.follow(momentum: 0.9999) }
    let factor: Double = pow(0.9999, 1000)
    for parameter in copy.arena.parameters {
      let range = copy.arena.range(of: parameter)
      let expected = start[range].map { Float(0.5 + factor * (Double($0) - 0.5)) }
      expectClose(parameter.value.array, expected, relative: 0, absolute: 1e-4, parameter.name)
    }
    XCTAssertGreaterThan(zip(start, copy.weights.array).map { abs($0 - $1) }.max() ?? 0, 0.05)
  }

  func testACopyHasNoGradients() {
    let copy = EMACopy(of: arena(["a", "b"], seed: 1))
    XCTAssertEqual(copy.arena.gradients.count, 0)
    XCTAssertEqual(copy.arena.parameters.map(\.name), ["a", "b"])
    XCTAssertTrue(copy.arena.parameters.allSatisfy(\.isFrozen))
  }

  func testWhatIsFrozenForGoodIsCopiedAndNotAveraged() {
    let builder = ModelBuilder(seed: 4)
    builder.freezes = { $0 == "frozen" }
    let frozen = builder.parameter("frozen", [999], .normal(std: 1))
    let free = builder.parameter("free", [999], .normal(std: 1))
    let source = builder.build()
    let copy = EMACopy(of: source)
    let freeStart = free.value.array[0]
    for _ in 0..<100 { copy.follow(momentum: 0.9999) }
    XCTAssertEqual(copy.arena["frozen"]?.value.array, frozen.value.array)
    frozen.value.fill(2)
    free.value.fill(3)
    copy.follow(momentum: 0.9)
    XCTAssertNotEqual(copy.arena["frozen"]?.value.array, frozen.value.array, "what is copied once is not read again")
    XCTAssertEqual(copy.arena["free"]?.value.array[0] ?? 0, 0.9 * freeStart + 0.3, accuracy: 1e-5)
    copy.restart()
    XCTAssertEqual(copy.arena["frozen"]?.value.array, frozen.value.array)
    XCTAssertEqual(copy.arena["free"]?.value.array, free.value.array)
  }

  /// The copy of a model with a frozen part, into a second model that is frozen as a whole and declared in another order.
  func testACopyOfAPartlyFrozenModelFollowsByName() {
    let builder = ModelBuilder(seed: 4)
    builder.freezes = { $0 == "b" }
    for name in ["a", "b", "c"] { _ = builder.parameter(name, [3, 7], .normal(std: 1)) }
    let source = builder.build()
    let teacher = ModelBuilder(seed: 5)
    teacher.freezes = { _ in true }
    for name in ["c", "b"] { _ = teacher.parameter(name, [3, 7], .normal(std: 1)) }
    let copy = EMACopy(of: source, into: teacher.build())
    for name in ["b", "c"] { XCTAssertEqual(copy.arena[name]?.value.array, source[name]?.value.array) }
    source.weights.fill(9)
    copy.follow(momentum: 0)
    XCTAssertEqual(copy.arena["c"]?.value.array, source["c"]?.value.array)
    XCTAssertNotEqual(copy.arena["b"]?.value.array, source["b"]?.value.array)
  }
}
