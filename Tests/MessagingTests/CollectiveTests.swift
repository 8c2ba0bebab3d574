import Basics
import Messaging
import TestKit
import XCTest

/// Each collective against what one rank alone can compute, whole and in slices.
final class CollectiveTests: XCTestCase {
  private let counts = [0, 1, 2, 3, 7, 64, 1000, 4099]
  private let chunks = [1 << 30, 4096, 64, 8]

  private func everyCase(_ body: (Communicator, Int) throws -> Void) throws {
    let communicator = try sharedCommunicator()
    for chunk in chunks {
      try withChunks(of: chunk, communicator) {
        for count in counts where count <= 1000 || chunk >= 64 { try body(communicator, count) }
      }
    }
  }

  func testRanksAreNumbered() throws {
    let communicator = try sharedCommunicator()
    XCTAssertTrue((0..<communicator.size).contains(communicator.rank))
    XCTAssertEqual(communicator.hostNames.count, communicator.size)
    XCTAssertEqual(try communicator.allReduceSum([Int64(communicator.rank)]), [sumOfRanks(communicator)])
    let node = communicator.node
    XCTAssertTrue((0..<node.size).contains(node.rank))
    XCTAssertTrue((0..<node.count).contains(node.index))
    // Each node counts once: at its rank 0.
    XCTAssertEqual(try communicator.allReduceSum([Int64(node.rank == 0 ? node.size : 0)]), [Int64(communicator.size)])
  }

  func testStartAgainGivesTheSameWorld() throws {
    XCTAssertTrue(try World.start() === World.start())
  }

  func testSumOfFloats() throws {
    try everyCase { communicator, count in
      var values = exactValues(count, rank: communicator.rank).map(Float.init)
      try values.withUnsafeMutableBufferPointer { buffer in
        if let base = buffer.baseAddress { try communicator.allReduceSum(base, count) }
      }
      XCTAssertEqual(values, oracle(communicator, count, +).map(Float.init), "\(count) values")
    }
  }

  func testSumOfDoublesAndIntegers() throws {
    try everyCase { communicator, count in
      let own = exactValues(count, rank: communicator.rank)
      XCTAssertEqual(
        try communicator.allReduceSum(own.map(Double.init)), oracle(communicator, count, +).map(Double.init))
      XCTAssertEqual(try communicator.allReduceSum(own), oracle(communicator, count, +))
    }
  }

  func testLargestAndSmallest() throws {
    try everyCase { communicator, count in
      let own = exactValues(count, rank: communicator.rank)
      XCTAssertEqual(try communicator.allReduceMax(own), oracle(communicator, count, max))
      XCTAssertEqual(try communicator.allReduceMin(own), oracle(communicator, count, min))
      let doubles = own.map { Double($0) / 3 }
      XCTAssertEqual(try communicator.allReduceMax(doubles), oracle(communicator, count, max).map { Double($0) / 3 })
      XCTAssertEqual(try communicator.allReduceMin(doubles), oracle(communicator, count, min).map { Double($0) / 3 })
    }
  }

  func testReductionInPlaceOfPointers() throws {
    let communicator = try sharedCommunicator()
    var doubles = [Double(communicator.rank), -1]
    try communicator.allReduceSum(&doubles, 2)
    XCTAssertEqual(doubles, [Double(sumOfRanks(communicator)), -Double(communicator.size)])
    var highest = [Double(communicator.rank)]
    try communicator.allReduceMax(&highest, 1)
    XCTAssertEqual(highest, [Double(communicator.size - 1)])
    var lowest = [Int64(communicator.rank)]
    try communicator.allReduceMin(&lowest, 1)
    XCTAssertEqual(lowest, [0])
  }

  func testSumsRepeatBitForBitAndAreEqualOnAllRanks() throws {
    let communicator = try sharedCommunicator()
    let own = ExactRandom.floats(10_007, seed: UInt64(communicator.rank))
    var results: [[Float]] = []
    for _ in 0..<3 {
      var values = own
      try communicator.allReduceSum(&values, values.count)
      results.append(values)
    }
    XCTAssertEqual(results[0].map(\.bitPattern), results[1].map(\.bitPattern))
    XCTAssertEqual(results[0].map(\.bitPattern), results[2].map(\.bitPattern))
    let bytes = results[0].withUnsafeBytes { Array($0) }
    XCTAssertEqual(Set(try communicator.allGather(bytes)).count, 1)
  }

  func testBroadcastFromEveryRank() throws {
    try everyCase { communicator, count in
      for root in 0..<communicator.size {
        // Only the root's bytes count: the others bring another length.
        let own = exactBytes(communicator.rank == root ? count : count / 2 + 1, rank: communicator.rank)
        XCTAssertEqual(try communicator.broadcast(own, from: root), exactBytes(count, rank: root))
        var raw = exactBytes(count, rank: communicator.rank)
        try raw.withUnsafeMutableBytes { buffer in
          if let base = buffer.baseAddress { try communicator.broadcast(base, bytes: count, from: root) }
        }
        XCTAssertEqual(raw, exactBytes(count, rank: root))
      }
    }
  }

  func testBroadcastOfText() throws {
    let communicator = try sharedCommunicator()
    let text = "checkpoints/step-00000100.h5 · größer"
    XCTAssertEqual(try communicator.broadcast(communicator.rank == 0 ? text : ""), text)
    XCTAssertEqual(try communicator.broadcast(""), "")
  }

  func testGatherOfUnevenSizes() throws {
    try everyCase { communicator, count in
      let expected = (0..<communicator.size).map { exactBytes(length(count, rank: $0), rank: $0) }
      let own = expected[communicator.rank]
      XCTAssertEqual(try communicator.allGather(own), expected)
      for root in 0..<communicator.size {
        XCTAssertEqual(try communicator.gather(own, to: root), communicator.rank == root ? expected : [])
      }
    }
  }

  func testGatherOfBlocks() throws {
    try everyCase { communicator, count in
      let lengths = (0..<communicator.size).map { length(count, rank: $0) }
      let expected = lengths.indices.flatMap { exactBytes(lengths[$0], rank: $0) }
      var target = [UInt8](repeating: 0, count: expected.count + 1)
      let own = exactBytes(lengths[communicator.rank], rank: communicator.rank) + [0]
      try communicator.allGather(own, bytes: lengths, into: &target)
      XCTAssertEqual(target, expected + [0])
    }
  }

  func testBarrier() throws {
    let communicator = try sharedCommunicator()
    for _ in 0..<3 { try communicator.barrier() }
  }

  func testBenchmarkCountsBytes() throws {
    let communicator = try sharedCommunicator()
    for wish in [AllReduceWish.mpi, .auto] {
      let hasWindow = try communicator.chooseAllReduce(wish) == .window
      XCTAssertEqual(hasWindow, wish == .auto && communicator.size > 1)
      let timings = try AllReduceBenchmark.run(communicator, sizes: [0, 10, 4096], repetitions: 2)
      let without = try AllReduceBenchmark.run(communicator, inPlace: false, sizes: [10], repetitions: 1)
      XCTAssertNil(without[0].inPlace)
      XCTAssertEqual(timings.map(\.bytes), [4, 8, 4096])
      for timing in timings {
        XCTAssertEqual(timing.window != nil, hasWindow)
        XCTAssertEqual(timing.inPlace != nil, hasWindow)
        let compared = [timing.window, timing.inPlace].compactMap { $0 }
        for rate in [timing.mpi] + compared.map(\.rate) {
          XCTAssertEqual(
            rate.gigabytesPerSecond, Double(timing.bytes) / rate.medianMicroseconds * 1e-3,
            accuracy: 1e-9 * rate.gigabytesPerSecond)
        }
        for ratio in compared.map(\.ratio) {
          XCTAssertTrue(0 < ratio.least && ratio.least <= ratio.median && ratio.median <= ratio.largest)
        }
      }
    }
    try communicator.chooseAllReduce(.mpi)
  }

  /// A length that differs between ranks; rank 1 has nothing.
  private func length(_ count: Int, rank: Int) -> Int { rank == 1 ? 0 : count + 3 * rank }

  private func sumOfRanks(_ communicator: Communicator) -> Int64 {
    Int64(communicator.size * (communicator.size - 1) / 2)
  }

  private func oracle(_ communicator: Communicator, _ count: Int, _ join: (Int64, Int64) -> Int64) -> [Int64] {
    (1..<max(communicator.size, 1)).reduce(exactValues(count, rank: 0)) { sum, rank in
      zip(sum, exactValues(count, rank: rank)).map(join)
    }
  }
}
