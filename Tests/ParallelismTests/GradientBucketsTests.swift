import Autodiff
import Basics
import Layers
import Messaging
import Tensors
import TestKit
import XCTest

@testable import Parallelism

/// Gradients summed over ranks, against the sum that one rank computes alone. Collective: the same on all ranks.
final class GradientBucketsTests: XCTestCase {
  private static let shapes: [Shape] = [[7, 5], [5], [64, 33], [1], [129], [3, 3, 3], [40, 40]]

  private func makeArena() -> ParameterArena {
    ParameterArena(Self.shapes.enumerated().map { Parameter(name: "p\($0)", shape: $1) })
  }

  private func gradient(_ index: Int, rank: Int) -> [Float] {
    ExactRandom.floats(Self.shapes[index].count, seed: UInt64(1000 * rank + index))
  }

  private func write(_ values: [Float], to tensor: Tensor) {
    for (index, value) in values.enumerated() { tensor.pointer[index] = value }
  }

  /// One step: gradients become final in `order`, those not named never do.
  private func step(
    _ arena: ParameterArena, _ buckets: GradientBuckets, rank: Int, order: [Int], arm: Bool = true
  ) throws -> BucketReport {
    try buckets.zeroGradients()
    if arm { buckets.arm() }
    for index in order {
      let parameter = arena.parameters[index]
      write(gradient(index, rank: rank), to: parameter.gradient)
      parameter.gradientReady?(parameter)
    }
    return try buckets.finish()
  }

  private func bits(_ arena: ParameterArena) -> [UInt32] { arena.reducedGradients.array.map(\.bitPattern) }

  private func sums(_ size: Int) -> [[Double]] {
    Self.shapes.indices.map { index in
      (0..<size).reduce([Double](repeating: 0, count: Self.shapes[index].count)) { sum, rank in
        zip(sum, gradient(index, rank: rank)).map { $0 + Double($1) }
      }
    }
  }

  private var backward: [Int] { Array(Self.shapes.indices.reversed()) }

  func testSumsOverRanks() throws {
    let communicator = try World.start().communicator
    for bytes in [1, 500, 4000, 1 << 20] {
      let arena = makeArena()
      let buckets = GradientBuckets(arena: arena, communicator: communicator, bucketBytes: bytes)
      for _ in 0..<2 {
        let report = try step(arena, buckets, rank: communicator.rank, order: backward)
        let expected = sums(communicator.size)
        for (index, parameter) in arena.parameters.enumerated() {
          expectClose(
            parameter.gradient.array, expected[index].map(Float.init), relative: 1e-5, absolute: 1e-6, parameter.name)
          let square = expected[index].reduce(0) { $0 + $1 * $1 }
          XCTAssertEqual(report.parameterSumsOfSquares[index], square, accuracy: 1e-5 * square)
        }
        let total = expected.joined().reduce(0) { $0 + $1 * $1 }
        XCTAssertEqual(report.sumOfSquares, total, accuracy: 1e-5 * total)
        XCTAssertEqual(report.norm, total.squareRoot(), accuracy: 1e-5 * total)
        XCTAssertEqual(report.nonFinite, 0)
        XCTAssertEqual(report.nonFiniteNames, [])
        XCTAssertGreaterThanOrEqual(report.waitSeconds, 0)
        XCTAssertGreaterThanOrEqual(report.hiddenSeconds, 0)
      }
    }
  }

  func testOverlapChangesNothing() throws {
    let communicator = try World.start().communicator
    var results: [([UInt32], Double)] = []
    for overlap in [true, false] {
      let arena = makeArena()
      let buckets = GradientBuckets(
        arena: arena, communicator: communicator, bucketBytes: 1000, overlap: overlap)
      let report = try step(arena, buckets, rank: communicator.rank, order: backward)
      results.append((bits(arena), report.sumOfSquares))
    }
    // Not armed is the same as no overlap.
    let arena = makeArena()
    let buckets = GradientBuckets(arena: arena, communicator: communicator, bucketBytes: 1000)
    let report = try step(arena, buckets, rank: communicator.rank, order: backward, arm: false)
    results.append((bits(arena), report.sumOfSquares))
    for result in results {
      XCTAssertEqual(result.0, results[0].0)
      XCTAssertEqual(result.1, results[0].1)
    }
  }

  /// Through shared memory, copied or in place, the gradients are those of MPI up to rounding, with two ranks bit for
  /// bit, and overlap changes nothing either.
  func testSharedMemoryChangesNothing() throws {
    let communicator = try World.start().communicator
    var results: [[[UInt32]]] = []
    var gradients: [[Float]] = []
    for (wish, inPlace) in [(AllReduceWish.mpi, false), (.auto, false), (.auto, true)] {
      try communicator.chooseAllReduce(wish)
      var found: [[UInt32]] = []
      for overlap in [true, false] {
        let arena = makeArena()
        let shared = inPlace ? try SharedGradients(of: arena, communicator, bucketBytes: 1000) : nil
        XCTAssertNil(shared?.obstacle)
        XCTAssertEqual(shared?.memory != nil, inPlace && communicator.size > 1)
        let buckets = GradientBuckets(
          arena: arena, communicator: communicator, bucketBytes: 1000, overlap: overlap, shared: shared)
        for _ in 0..<2 {
          _ = try step(arena, buckets, rank: communicator.rank, order: backward)
          found.append(bits(arena))
        }
        gradients.append(arena.reducedGradients.array)
      }
      results.append(found)
    }
    try communicator.chooseAllReduce(.mpi)
    for found in results { XCTAssertEqual(found, [[UInt32]](repeating: found[0], count: 4)) }
    XCTAssertEqual(results[1], results[2])
    if communicator.size <= 2 { XCTAssertEqual(results[0], results[1]) }
    expectClose(gradients[2], gradients[0], relative: 1e-5, absolute: 1e-6)
  }

  /// Where no sums travel through shared memory the gradients stay where they are, and nothing stands in the way.
  func testGradientsStayWithoutAWindow() throws {
    let communicator = try World.start().communicator
    let arena = makeArena()
    let place = arena.gradients.pointer
    let shared = try SharedGradients(of: arena, communicator)
    XCTAssertNil(shared.memory)
    XCTAssertNil(shared.obstacle)
    XCTAssertEqual(arena.gradients.pointer, place)
  }

  /// Shared memory has no room for the gradients: they stay everywhere, all know why, and the sums are the same.
  func testGradientsStayWithoutRoomInSharedMemory() throws {
    let communicator = try World.start().communicator
    guard communicator.size > 1 else { return }
    try communicator.chooseAllReduce(.window)
    let arena = makeArena()
    let place = arena.gradients.pointer
    // Rank 0 makes the file.
    let shared = try withFileSize(communicator.rank == 0 ? 4096 : nil) {
      try SharedGradients(of: arena, communicator)
    }
    XCTAssertNil(shared.memory)
    XCTAssertEqual(arena.gradients.pointer, place)
    let obstacle = try XCTUnwrap(shared.obstacle)
    XCTAssertTrue(obstacle.hasPrefix("\(communicator.name(ofRank: 0)): "), obstacle)
    XCTAssertTrue(obstacle.hasSuffix("cannot be had: File too large"), obstacle)
    let other = makeArena()
    let inPlace = try SharedGradients(of: other, communicator)
    XCTAssertEqual(other.gradients.pointer, inPlace.memory?.floats)
    XCTAssertEqual(UnsafePointer(other.reducedGradients.pointer), inPlace.memory?.sums)
    XCTAssertEqual(arena.reducedGradients.pointer, place)
    let results = try [(arena, shared), (other, inPlace)].map { arena, shared in
      let buckets = GradientBuckets(arena: arena, communicator: communicator, bucketBytes: 1000, shared: shared)
      _ = try step(arena, buckets, rank: communicator.rank, order: backward)
      return bits(arena)
    }
    XCTAssertEqual(results[0], results[1])
    try communicator.chooseAllReduce(.mpi)
  }

  /// Runs `body`, during which files of this process may not grow beyond `bytes`.
  private func withFileSize<R>(_ bytes: rlim_t?, _ body: () throws -> R) rethrows -> R {
    var usual = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &usual)
    var small = usual
    if let bytes { small.rlim_cur = bytes }
    setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &small)
    defer { setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &usual) }
    return try body()
  }

  func testRanksMayFinishInDifferentOrders() throws {
    let communicator = try World.start().communicator
    let count = Self.shapes.count
    let arena = makeArena()
    let buckets = GradientBuckets(arena: arena, communicator: communicator, bucketBytes: 1000)
    let order = (0..<count).map { ($0 * 3 + communicator.rank) % count }
    _ = try step(arena, buckets, rank: communicator.rank, order: order)
    let mixed = bits(arena)
    _ = try step(arena, buckets, rank: communicator.rank, order: backward)
    XCTAssertEqual(mixed, bits(arena))
  }

  func testUnusedAndFrozenParameters() throws {
    let communicator = try World.start().communicator
    let arena = makeArena()
    arena.parameters[2].isFrozen = true
    let buckets = GradientBuckets(arena: arena, communicator: communicator, bucketBytes: 64)
    let report = try step(arena, buckets, rank: communicator.rank, order: [6, 5, 3, 1, 0])
    let expected = sums(communicator.size)
    for (index, parameter) in arena.parameters.enumerated() {
      let isUsed = index != 2 && index != 4
      expectClose(parameter.gradient.array, expected[index].map { isUsed ? Float($0) : 0 })
      XCTAssertEqual(report.parameterSumsOfSquares[index] > 0, isUsed)
      XCTAssertNil(parameter.gradientReady)
    }
  }

  /// What was frozen when the arena was made is not sent: the sums of the others are those of an arena without it.
  func testParametersWithoutGradientsAreNotSent() throws {
    let communicator = try World.start().communicator
    func arena(_ shapes: [(Int, Shape)], freezing frozen: Set<Int>) -> ParameterArena {
      ParameterArena(shapes.map { Parameter(name: "p\($0)", shape: $1, isFrozen: frozen.contains($0)) })
    }
    let shapes = Array(Self.shapes.enumerated())
    let kept = [1, 2, 4, 6]
    for shares in [false, true] {
      if shares { try communicator.chooseAllReduce(.auto) }
      let results = try [
        arena(shapes.map { ($0, $1) }, freezing: [0, 3, 5]), arena(kept.map { ($0, Self.shapes[$0]) }, freezing: []),
      ]
      .map { arena in
        XCTAssertEqual(arena.trainable.map(\.name), kept.map { "p\($0)" })
        let shared = shares ? try SharedGradients(of: arena, communicator, bucketBytes: 1000) : nil
        let buckets = GradientBuckets(arena: arena, communicator: communicator, bucketBytes: 1000, shared: shared)
        XCTAssertEqual(buckets.bucketBytes.reduce(0, +), 4 * arena.trainableCount)
        buckets.arm()
        for (place, index) in kept.enumerated().reversed() {
          let parameter = arena.trainable[place]
          write(gradient(index, rank: communicator.rank), to: parameter.gradient)
          parameter.gradientReady?(parameter)
        }
        let report = try buckets.finish()
        XCTAssertEqual(report.parameterSumsOfSquares.count, kept.count)
        XCTAssertEqual(report.nonFiniteNames, [])
        return (bits(arena), report.sumOfSquares)
      }
      XCTAssertEqual(results[0].0, results[1].0)
      XCTAssertEqual(results[0].1, results[1].1)
      XCTAssertTrue(results[0].0.contains { $0 != 0 })
    }
    try communicator.chooseAllReduce(.mpi)
  }

  /// A model of which nothing is trained has nothing to send, also where sums travel through shared memory.
  func testAnArenaWithoutGradients() throws {
    let communicator = try World.start().communicator
    for wish in [AllReduceWish.auto, .mpi] {
      try communicator.chooseAllReduce(wish)
      let arena = ParameterArena([Parameter(name: "p", shape: [5], isFrozen: true)])
      let shared = try SharedGradients(of: arena, communicator)
      let buckets = GradientBuckets(arena: arena, communicator: communicator, shared: shared)
      buckets.arm()
      let report = try buckets.finish()
      XCTAssertEqual(buckets.count, 0)
      XCTAssertEqual(report.sumOfSquares, 0)
    }
  }

  func testBrokenValueOnOneRankIsSeenByAll() throws {
    let communicator = try World.start().communicator
    for culprit in 0..<communicator.size {
      for broken in [Float.nan, .infinity, -.infinity] {
        let arena = makeArena()
        let buckets = GradientBuckets(arena: arena, communicator: communicator, bucketBytes: 1000)
        buckets.arm()
        for index in backward {
          let parameter = arena.parameters[index]
          write(gradient(index, rank: communicator.rank), to: parameter.gradient)
          if communicator.rank == culprit && index == 4 {
            parameter.gradient.pointer[3] = broken
            parameter.gradient.pointer[128] = broken
          }
          parameter.gradientReady?(parameter)
        }
        let report = try buckets.finish()
        XCTAssertEqual(report.nonFinite, 2)
        XCTAssertEqual(report.nonFiniteNames, ["p4"])
        XCTAssertFalse(report.sumOfSquares.isFinite)
      }
    }
  }

  func testLargeFiniteValuesAreNotBroken() throws {
    let communicator = try World.start().communicator
    let arena = makeArena()
    let buckets = GradientBuckets(arena: arena, communicator: communicator)
    arena.parameters[4].gradient.fill(communicator.rank == 0 ? 3e38 : 0)
    let report = try buckets.finish()
    XCTAssertEqual(report.nonFinite, 0)
    XCTAssertTrue(report.sumOfSquares.isFinite)
  }

  func testPaddingStaysZero() throws {
    let communicator = try World.start().communicator
    let arena = makeArena()
    let buckets = GradientBuckets(arena: arena, communicator: communicator, bucketBytes: 1000)
    _ = try step(arena, buckets, rank: communicator.rank, order: backward)
    var used = [Bool](repeating: false, count: arena.count)
    for parameter in arena.parameters { for index in arena.range(of: parameter) { used[index] = true } }
    XCTAssertTrue(zip(arena.reducedGradients.array, used).allSatisfy { $1 || $0 == 0 })
  }
}
