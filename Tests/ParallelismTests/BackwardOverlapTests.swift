import Autodiff
import Basics
import Layers
import Messaging
import Tensors
import TestKit
import XCTest

@testable import Parallelism

/// A real backward pass whose gradients are reduced while it runs. Collective: the same on all ranks.
final class BackwardOverlapTests: XCTestCase {
  private let width = 24
  private let depth = 5
  private let globalBatch = 13

  private func makeArena() -> ParameterArena {
    let arena = ParameterArena(
      (0..<depth).flatMap {
        [Parameter(name: "\($0).weight", shape: [width, width]), Parameter(name: "\($0).bias", shape: [width])]
      })
    for (index, value) in ExactRandom.floats(arena.count, seed: 1).enumerated() {
      arena.weights.pointer[index] = 0.3 * value
    }
    return arena
  }

  /// The gradients of the mean over `images` of a chain of layers, weighted by their share of the global batch.
  private func backward(_ arena: ParameterArena, images: Range<Int>) {
    guard !images.isEmpty else { return }
    let input = Tensor(ExactRandom.floats(globalBatch * width, seed: 2), [globalBatch, width])
    var x = Variable(constant: input.rows(images))  // [b, D]
    for layer in 0..<depth {
      x = linear(x, arena.parameters[2 * layer], bias: arena.parameters[2 * layer + 1])
    }
    mean(x).backward(seed: Float(images.count) / Float(globalBatch))
  }

  func testRanksTogetherGiveTheGradientOfTheGlobalBatch() throws {
    let communicator = try World.start().communicator
    let whole = makeArena()
    backward(whole, images: 0..<globalBatch)
    let expected = whole.gradients.array
    XCTAssertGreaterThan(expected.map(abs).max() ?? 0, 1e-4)

    let block = blockRange(count: globalBatch, part: communicator.rank, of: communicator.size)
    var results: [[UInt32]] = []
    try communicator.chooseAllReduce(.auto)
    for (overlap, isShared) in [(true, false), (false, false), (true, true), (false, true)] {
      let arena = makeArena()
      let shared = isShared ? try SharedGradients(of: arena, communicator, bucketBytes: 3000) : nil
      let buckets = GradientBuckets(
        arena: arena, communicator: communicator, bucketBytes: 3000, overlap: overlap, shared: shared)
      XCTAssertGreaterThan(buckets.count, 2)
      buckets.arm()
      backward(arena, images: block)
      let report = try buckets.finish()
      expectClose(arena.reducedGradients.array, expected, relative: 1e-4, absolute: 1e-8)
      XCTAssertEqual(report.nonFinite, 0)
      results.append(arena.reducedGradients.array.map(\.bitPattern))
    }
    try communicator.chooseAllReduce(.mpi)
    XCTAssertEqual(results, [[UInt32]](repeating: results[0], count: 4))
    let bytes = results[0].withUnsafeBytes { Array($0) }
    XCTAssertEqual(Set(try communicator.allGather(bytes)).count, 1)
  }

  func testOnlyTheLastMicrobatchIsHandedOver() throws {
    let communicator = try World.start().communicator
    let whole = makeArena()
    backward(whole, images: 0..<globalBatch)
    let block = blockRange(count: globalBatch, part: communicator.rank, of: communicator.size)
    let middle = block.lowerBound + block.count / 2
    let arena = makeArena()
    let buckets = GradientBuckets(arena: arena, communicator: communicator, bucketBytes: 3000)
    backward(arena, images: block.lowerBound..<middle)
    buckets.arm()
    backward(arena, images: middle..<block.upperBound)
    _ = try buckets.finish()
    expectClose(arena.gradients.array, whole.gradients.array, relative: 1e-4, absolute: 1e-8)
  }
}
