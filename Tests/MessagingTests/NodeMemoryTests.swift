import Basics
import CMPI
import Foundation
import TestKit
import XCTest

@testable import Messaging

/// Sums of floats where they lie, in memory that the ranks of a node share, and read where they were added: bit for bit
/// the ordered sums that copies through the window give. Collective: the same on all ranks.
final class NodeMemoryTests: XCTestCase {
  /// What a memory is made for: one part, and parts that begin and end inside of pages, short ones among them.
  private let cuts = [[0..<8200], [5000..<8200, 4990..<5000, 1..<4990, 0..<1]]
  /// Parts of a memory: aligned and not, shorter than the ranks need, and longer than what is fetched ahead.
  private let ranges = [0..<0, 0..<1, 3..<5, 0..<16, 16..<33, 7..<71, 64..<1064, 1..<4100, 4096..<8195, 0..<8200]
  private let count = 8200
  private let untouched: Float = -7.25

  private func nodeMemory(_ communicator: Communicator, _ count: Int) throws -> NodeMemory {
    try XCTUnwrap(try communicator.nodeMemory(parts: [0..<count]))
  }

  private func write(_ values: [Float], to memory: NodeMemory, at start: Int) {
    for (place, value) in values.enumerated() { memory.floats[start + place] = value }
  }

  private func read(_ memory: NodeMemory, _ range: Range<Int>) -> [Float] { range.map { memory.sums[$0] } }

  func testEveryPartIsTheOrderedSumAndTheRestStays() throws {
    let communicator = try sharedCommunicator()
    guard communicator.size > 1 else { return }
    for window in testedWindows {
      try withWindow(communicator, ranks: window.ranks, piece: window.piece) {
        for cut in cuts {
          let memory = try XCTUnwrap(try communicator.nodeMemory(parts: cut))
          XCTAssertEqual(memory.count, count)
          XCTAssertTrue((0..<count).allSatisfy { memory.floats[$0] == 0 && memory.sums[$0] == 0 })
          XCTAssertEqual(UInt(bitPattern: memory.floats) % 4096, 0)
          try communicator.barrier()  // after which others write
          for range in ranges {
            try communicator.startReuse(memory).wait()
            memory.floats.update(repeating: untouched, count: count)
            let own = rankValues(range.count, rank: communicator.rank)
            write(own, to: memory, at: range.lowerBound)
            try communicator.startAllReduceSum(memory, range).wait()
            let what = "\(range) of \(cut), window \(window)"
            let found = read(memory, range)
            expectSameBits(
              found, expectedSum(range.count, ranks: communicator.size, perWindow: window.ranks), what)
            var copied = own
            try communicator.allReduceSum(&copied, copied.count)
            expectSameBits(found, copied, "\(what), beside copies")
            let rest = Array(0..<range.lowerBound) + Array(range.upperBound..<count)
            XCTAssertTrue(rest.allSatisfy { memory.floats[$0] == untouched }, what)
          }
        }
      }
    }
  }

  /// A part so large that every lane has several runs of it, on one node, and one with several nodes.
  func testALargePartIsSummedInTurns() throws {
    let communicator = try sharedCommunicator()
    guard communicator.size > 1 else { return }
    let large = 2 * communicator.size * SumShares.turnPages * SumShares.pageFloats + 5000
    for window in testedWindows {
      try withWindow(communicator, ranks: window.ranks, piece: window.piece) {
        let memory = try nodeMemory(communicator, large)
        let own = rankValues(large, rank: communicator.rank)
        own.withUnsafeBufferPointer { memory.floats.update(from: $0.baseAddress!, count: large) }
        try communicator.startAllReduceSum(memory, 0..<large).wait()
        expectSameBits(
          read(memory, 0..<large), expectedSum(large, ranks: communicator.size, perWindow: window.ranks), "\(window)")
      }
    }
  }

  func testManyInFlightBetweenCopiesAndOtherCollectives() throws {
    let communicator = try sharedCommunicator()
    guard communicator.size > 1 else { return }
    let sizes = (0..<40).map { ($0 * 37) % 500 }
    let starts = sizes.indices.map { sizes[..<$0].reduce(0, +) }
    for window in testedWindows {
      try withWindow(communicator, ranks: window.ranks, piece: window.piece) {
        let memory = try nodeMemory(communicator, sizes.reduce(0, +))
        let block = UnsafeMutablePointer<Float>.allocate(capacity: memory.count)
        defer { block.deallocate() }
        for (index, size) in sizes.enumerated() {
          let own = rankValues(size, rank: communicator.rank, seed: index)
          write(own, to: memory, at: starts[index])
          for (place, value) in own.enumerated() { block[starts[index] + place] = value }
        }
        var requests: [Request] = []
        for (start, size) in zip(starts, sizes) {
          requests.append(communicator.startAllReduceSum(memory, start..<start + size))
          requests.append(communicator.startAllReduceSum(block + start, size))
        }
        XCTAssertEqual(try communicator.allReduceSum([Int64(1)]), [Int64(communicator.size)])
        for request in requests.reversed() { try request.wait() }
        for (index, size) in sizes.enumerated() {
          let expected = expectedSum(size, ranks: communicator.size, perWindow: window.ranks, seed: index)
          expectSameBits(read(memory, starts[index]..<starts[index] + size), expected, "request \(index)")
          expectSameBits((0..<size).map { block[starts[index] + $0] }, expected, "copied request \(index)")
        }
      }
    }
  }

  func testASecondTimeAndOnAllRanksTheSameBits() throws {
    let communicator = try sharedCommunicator()
    guard communicator.size > 1 else { return }
    try withWindow(communicator) {
      let memory = try nodeMemory(communicator, 700_001)
      let own = ExactRandom.floats(memory.count, seed: UInt64(communicator.rank))
      var results: [[Float]] = []
      for _ in 0..<2 {
        try communicator.startReuse(memory).wait()
        write(own, to: memory, at: 0)
        try communicator.startAllReduceSum(memory, 0..<memory.count).wait()
        results.append(read(memory, 0..<memory.count))
      }
      XCTAssertEqual(results[0], results[1])
      XCTAssertEqual(Set(try communicator.allGather(results[0].withUnsafeBytes { Array($0) })).count, 1)
      let everybody = (0..<communicator.size).map { ExactRandom.floats(memory.count, seed: UInt64($0)) }
      expectSameBits(results[0], orderedSum(everybody), "\(memory.count) values")
    }
  }

  /// Memory belongs to the window with which it was made; after that it can still be read.
  func testMemoryOfAClosedWindowKeepsItsSums() throws {
    let communicator = try sharedCommunicator()
    guard communicator.size > 1 else { return }
    var kept: NodeMemory?
    try withWindow(communicator) {
      let memory = try nodeMemory(communicator, 1000)
      write([Float](repeating: 1, count: 1000), to: memory, at: 0)
      try communicator.startAllReduceSum(memory, 0..<1000).wait()
      kept = memory
    }
    let memory = try XCTUnwrap(kept)
    XCTAssertEqual(read(memory, 0..<1000), [Float](repeating: Float(communicator.size), count: 1000))
  }

  /// The last rank writes its floats at once, the others read slowly: nobody sees a value of the next sum.
  func testFloatsAreNotWrittenBeforeAllHaveRead() throws {
    let communicator = try sharedCommunicator()
    guard communicator.size > 1 else { return }
    for early in [true, false] {
      try withWindow(communicator) {
        let memory = try nodeMemory(communicator, 50_000)
        for turn in 1...20 {
          try communicator.startReuse(memory).wait()
          memory.floats.update(repeating: Float(turn), count: memory.count)
          try communicator.startAllReduceSum(memory, 0..<memory.count).wait()
          let looks = communicator.rank == communicator.size - 1 ? 1 : 5
          for _ in 0..<looks {
            let wrong = read(memory, 0..<memory.count).filter { $0 != Float(turn * communicator.size) }
            XCTAssertEqual(wrong.count, 0, "turn \(turn)")
          }
          // Said before it is asked for, twice, or not at all.
          if early {
            memory.release()
            memory.release()
          }
        }
      }
    }
  }

  func testWithoutAWindowThereIsNoMemory() throws {
    let communicator = try sharedCommunicator()
    XCTAssertNil(try communicator.nodeMemory(parts: [0..<10]))
    try withWindow(communicator) {
      XCTAssertEqual(try communicator.nodeMemory(parts: [0..<10]) != nil, communicator.size > 1)
      for nothing in [[], [0..<0]] {
        XCTAssertEqual(try communicator.nodeMemory(parts: nothing)?.count, communicator.size > 1 ? 0 : nil)
      }
    }
  }

  /// One rank cannot map the memory: every rank learns it, and sums through the window go on.
  func testMemoryThatOneRankCannotHave() throws {
    let communicator = try sharedCommunicator()
    guard communicator.size > 1 else { return }
    try withWindow(communicator) {
      for culprit in 0..<communicator.size {
        try withoutFiles(communicator.rank == culprit) {
          try expectRefusal(communicator, floats: 10, rank: culprit, "Too many open files")
        }
      }
      XCTAssertEqual(try nodeMemory(communicator, 10).count, 10)
    }
  }

  /// More than /dev/shm can ever hold is refused before anybody touches it, and leaves nothing behind.
  func testMemoryThatDoesNotFitIntoSharedMemory() throws {
    let communicator = try sharedCommunicator()
    guard communicator.size > 1 else { return }
    var system = statvfs()
    XCTAssertEqual(statvfs("/dev/shm", &system), 0)
    let floats = Int(system.f_blocks) * Int(system.f_frsize) / MemoryLayout<Float>.size + 1
    try withWindow(communicator) {
      try expectRefusal(communicator, floats: floats, rank: 0, "No space left on device")
      try expectNoNames(communicator)
    }
  }

  private func expectRefusal(_ communicator: Communicator, floats: Int, rank: Int, _ cause: String) throws {
    XCTAssertThrowsError(try communicator.nodeMemory(parts: [0..<floats])) {
      let failure = $0 as? Failure
      XCTAssertEqual(failure?.code, .unavailable)
      XCTAssertEqual(failure?.place, "/dev/shm")
      let text = failure?.what ?? ""
      XCTAssertTrue(text.hasPrefix("\(communicator.name(ofRank: rank)): "), text)
      XCTAssertTrue(text.hasSuffix("shared by the ranks of a node cannot be had: \(cause)"), text)
    }
    XCTAssertEqual(communicator.allReduceRoute, .window)
    var values = [Float(communicator.rank)]
    try communicator.allReduceSum(&values, 1)
    XCTAssertEqual(values, [Float((0..<communicator.size).reduce(0, +))])
  }

  func testNothingIsLeftInSharedMemory() throws {
    let communicator = try sharedCommunicator()
    guard communicator.size > 1 else { return }
    try withWindow(communicator) {
      let memory = try nodeMemory(communicator, 100_000)
      try expectNoNames(communicator)
      memory.floats.update(repeating: 1, count: memory.count)
      try communicator.startAllReduceSum(memory, 0..<memory.count).wait()
      XCTAssertEqual(memory.sums[memory.count - 1], Float(communicator.size))
    }
  }

  private func expectNoNames(_ communicator: Communicator) throws {
    let pids = try communicator.allGather(Array("sslmpi-\(getpid())-".utf8)).map { String(decoding: $0, as: UTF8.self) }
    let names = try FileManager.default.contentsOfDirectory(atPath: "/dev/shm")
    XCTAssertEqual(names.filter { name in pids.contains { name.hasPrefix($0) } }, [])
  }

  // MARK: the places of ranks, and the loop that adds; local

  /// The parts of the memory that are shown as the sums are whole pages of the floats of the lanes that add them.
  func testSumsAreShownFromTheLanesThatAddThem() {
    for count in [0, 1, 1023, 1024, 100_000] {
      let bytes = NodeMemory.bytesPerRank(count: count)
      XCTAssertEqual(bytes % 4096, 0)
      XCTAssertGreaterThanOrEqual(bytes, count * 4 + 64)
      let shares = SumShares(parts: [0..<count], lanes: 3, inTurns: true)
      let parts = NodeMemory.view(of: shares, count: count)
      XCTAssertEqual(parts.count, shares.runs.count)
      for (part, run) in zip(parts, shares.runs) {
        XCTAssertEqual(part.lowerBound, run.lane * bytes + run.elements.lowerBound * 4)
        XCTAssertEqual(part.count, run.elements.count * 4)
        XCTAssertLessThan(part.upperBound, (run.lane + 1) * bytes)
      }
    }
  }

  /// Against a plain loop: any number of terms from two on, as many as go through at once and more, a target that is a
  /// term and one that is none, any alignment, any part, several pages of partial sums.
  func testAddedArraysAreThePlainSum() {
    let length = 2500
    for terms in [2, 3, 5, 16, 17, 18, 33, 34] {
      for target in [0, 1, terms - 1, terms] {
        for (start, end) in [(0, 0), (0, 1), (5, 21), (16, 80), (1, 1025), (3, 2450)] {
          let before = (0...terms).map { rankValues(length, rank: $0) }
          var expected = before
          for place in start..<end {
            expected[target][place] = (1..<terms).reduce(before[0][place]) { $0 + before[$1][place] }
          }
          let block = UnsafeMutablePointer<Float>.allocate(capacity: before.count * (length + 1))
          defer { block.deallocate() }
          // One float more than the length between them: each array is aligned differently.
          let arrays = before.indices.map { block + $0 * (length + 1) }
          for (array, values) in zip(arrays, before) { array.update(from: values, count: length) }
          arrays.map(Optional.init).withUnsafeBufferPointer { pointers in
            guard let base = pointers.baseAddress else { return }
            cmpi_add_arrays(arrays[target], base, Int64(terms), Int64(start), Int64(end))
          }
          for (index, array) in arrays.enumerated() {
            let found = Array(UnsafeBufferPointer(start: array, count: length))
            expectSameBits(found, expected[index], "array \(index), \(terms) terms to \(target), \(start)..<\(end)")
          }
        }
      }
    }
  }
}
