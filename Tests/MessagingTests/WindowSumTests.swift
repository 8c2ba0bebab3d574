import Basics
import Foundation
import TestKit
import XCTest

@testable import Messaging

/// Sums through shared memory against plain loops in rank order, bit for bit. Collective: the same on all ranks.
final class WindowSumTests: XCTestCase {
  private let windows = testedWindows
  private let counts = [0, 1, 2, 15, 16, 17, 33, 64, 1000, 4099]

  private func summed(_ own: [Float], _ communicator: Communicator) throws -> [Float] {
    var values = own
    try communicator.allReduceSum(&values, values.count)
    return values
  }

  func testEverySizeIsTheOrderedSum() throws {
    let communicator = try sharedCommunicator()
    for window in windows {
      try withWindow(communicator, ranks: window.ranks, piece: window.piece) {
        // The last size passes through the usual window in many pieces.
        for count in counts + (window.piece == nil ? [700_001] : []) {
          let found = try summed(rankValues(count, rank: communicator.rank), communicator)
          expectSameBits(
            found, expectedSum(count, ranks: communicator.size, perWindow: window.ranks),
            "\(count) values, window \(window)")
        }
      }
    }
  }

  func testTheOrderOfTheseValuesMatters() throws {
    let terms = (0..<3).map { rankValues(1000, rank: $0) }
    XCTAssertTrue(bits(orderedSum(terms)) != bits(orderedSum(terms.reversed())))
  }

  func testManyInFlightAndOtherCollectivesBetween() throws {
    let communicator = try sharedCommunicator()
    let sizes = (0..<60).map { ($0 * 37) % 500 }
    for window in windows where window.piece != nil {
      try withWindow(communicator, ranks: window.ranks, piece: window.piece) {
        let blocks = sizes.map { size in UnsafeMutablePointer<Float>.allocate(capacity: size + 1) }
        defer { for block in blocks { block.deallocate() } }
        for (index, block) in blocks.enumerated() {
          for (place, value) in rankValues(sizes[index], rank: communicator.rank, seed: index).enumerated() {
            block[place] = value
          }
        }
        let requests = sizes.indices.map { communicator.startAllReduceSum(blocks[$0], sizes[$0]) }
        XCTAssertEqual(try communicator.allReduceSum([Int64(1)]), [Int64(communicator.size)])
        for request in requests.reversed() { try request.wait() }
        for (index, size) in sizes.enumerated() {
          expectSameBits(
            Array(UnsafeBufferPointer(start: blocks[index], count: size)),
            expectedSum(size, ranks: communicator.size, perWindow: window.ranks, seed: index), "request \(index)")
        }
      }
    }
  }

  func testAllRanksGetTheSameBitsAndSoDoesASecondTime() throws {
    let communicator = try sharedCommunicator()
    try withWindow(communicator) {
      let own = ExactRandom.floats(100_003, seed: UInt64(communicator.rank))
      let first = try summed(own, communicator)
      XCTAssertEqual(first, try summed(own, communicator))
      XCTAssertEqual(Set(try communicator.allGather(first.withUnsafeBytes { Array($0) })).count, 1)
    }
  }

  func testTwoRanksGetWhatMPIGives() throws {
    let communicator = try sharedCommunicator()
    let own = rankValues(5000, rank: communicator.rank)
    let byMPI = try summed(own, communicator)
    try withWindow(communicator) {
      let found = try summed(own, communicator)
      if communicator.size == 2 { expectSameBits(found, byMPI, "window and MPI") }
      expectClose(Array(found[15...]), Array(byMPI[15...]))
    }
  }

  func testWithoutNeighboursThereIsNoWindow() throws {
    let communicator = try sharedCommunicator()
    let route = try communicator.chooseAllReduce(.auto, ranksPerWindow: 1, pieceFloats: nil)
    XCTAssertEqual(route, .mpi(reason: communicator.size == 1 ? "one rank" : "one rank on each node"))
    guard communicator.size > 1 else { return }
    XCTAssertThrowsError(try communicator.chooseAllReduce(.window, ranksPerWindow: 1, pieceFloats: nil)) {
      XCTAssertEqual(($0 as? Failure)?.code, .badConfig)
    }
    XCTAssertEqual(communicator.allReduceRoute, .mpi(reason: "one rank on each node"))
  }

  /// One rank cannot map the memory: every rank learns it, and sums go on by MPI.
  func testMemoryThatOneRankCannotHave() throws {
    let communicator = try sharedCommunicator()
    guard communicator.size > 1 else { return }
    for culprit in 0..<communicator.size {
      try withoutFiles(communicator.rank == culprit) {
        guard case .mpi(let reason) = try communicator.chooseAllReduce(.auto) else { return XCTFail("a window") }
        let name = communicator.name(ofRank: culprit)
        XCTAssertTrue(reason.hasPrefix("\(name): "), reason)
        XCTAssertTrue(reason.hasSuffix("shared by the ranks of a node cannot be had: Too many open files"), reason)
        XCTAssertThrowsError(try communicator.chooseAllReduce(.window)) {
          let failure = $0 as? Failure
          XCTAssertEqual(failure?.code, .unavailable)
          XCTAssertEqual(failure?.place, "/dev/shm")
          XCTAssertTrue(failure?.hint?.contains("runtime.comm.allreduce=mpi") ?? false)
        }
        let sum = Float((0..<communicator.size).reduce(0, +))
        XCTAssertEqual(try summed([Float(communicator.rank)], communicator), [sum])
      }
    }
    try withWindow(communicator) {}
  }

  func testNothingIsLeftInSharedMemory() throws {
    let communicator = try sharedCommunicator()
    let pids = try communicator.allGather(Array("sslmpi-\(getpid())-".utf8)).map { String(decoding: $0, as: UTF8.self) }
    try withWindow(communicator) {
      let names = try FileManager.default.contentsOfDirectory(atPath: "/dev/shm")
      XCTAssertEqual(names.filter { name in pids.contains { name.hasPrefix($0) } }, [])
    }
  }

  // MARK: how arrays are cut and where pieces lie; local

  func testSharesAndPiecesCoverTheArrayOnce() {
    for lanes in 1...5 {
      for pieceFloats in [16, 48, 4096] {
        for count in counts {
          let cut = WindowCut(count: count, lanes: lanes, pieceFloats: pieceFloats)
          var covered = [Int](repeating: 0, count: count)
          for lane in 0..<lanes {
            for piece in 0..<cut.pieces {
              let range = cut.piece(piece, of: lane)
              XCTAssertLessThanOrEqual(range.count, pieceFloats)
              for index in range { covered[index] += 1 }
            }
            XCTAssertTrue(cut.piece(cut.pieces, of: lane).isEmpty)
            XCTAssertTrue(cut.share(of: lane).isEmpty || cut.share(of: lane).lowerBound % WindowCut.grain == 0)
          }
          XCTAssertEqual(covered, [Int](repeating: 1, count: count), "\(cut)")
        }
      }
    }
  }

  func testSlotsDoNotOverlap() {
    let (ranks, lanes, piece) = (3, 2, 48)
    let bytes = NodeWindow.bytesPerRank(lanes: lanes, pieceFloats: piece)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: ranks * bytes, alignment: 4096)
    defer { memory.deallocate() }
    let window = NodeWindow(base: memory, lanes: lanes, pieceFloats: piece)
    var used = [Int](repeating: 0, count: ranks * bytes)
    func use(_ start: UnsafeMutableRawPointer, _ count: Int) {
      for offset in (start - memory)..<(start - memory + count) { used[offset] += 1 }
    }
    for rank in 0..<ranks {
      for counter in NodeWindow.Counter.allCases { use(window.counter(counter, of: rank), 64) }
      for number in 7..<7 + NodeWindow.depth {
        for lane in 0..<lanes { use(window.input(number, from: rank, to: lane), piece * 4) }
        use(window.sum(number, of: rank), piece * 4)
      }
    }
    XCTAssertTrue(used.allSatisfy { $0 <= 1 })
    XCTAssertEqual(window.input(2, from: 1, to: 0), window.input(5, from: 1, to: 0))
    XCTAssertEqual(NodeWindow.pieceFloats(lanes: 2) * 4, 32 << 10)
    XCTAssertEqual(NodeWindow.pieceFloats(lanes: 64) * 4, 8 << 10)
  }
}
