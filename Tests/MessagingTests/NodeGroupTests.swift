import Basics
import Foundation
import TestKit
import XCTest

@testable import Messaging

/// Memory of which a node has one block, and gathers between nodes, with real nodes and pretended ones. Collective.
final class NodeGroupTests: XCTestCase {
  private let cuts: [Int?] = [nil, 1, 2, 3]

  private func everyGroup(_ body: (Communicator, NodeGroup) throws -> Void) throws {
    let communicator = try sharedCommunicator()
    for cut in cuts { try body(communicator, try communicator.nodeGroup(ranksPerNode: cut)) }
  }

  func testWhoStandsWhere() throws {
    let communicator = try sharedCommunicator()
    for cut in cuts {
      let group = try communicator.nodeGroup(ranksPerNode: cut)
      let per = cut ?? communicator.size
      let expected = stride(from: 0, to: communicator.size, by: per).map {
        Array($0..<min($0 + per, communicator.size))
      }
      XCTAssertEqual(group.nodes, expected)
      XCTAssertEqual(group.nodes[group.index][group.rank], communicator.rank)
      XCTAssertEqual(group.isLeader, communicator.rank % per == 0)
      XCTAssertTrue(try communicator.nodeGroup(ranksPerNode: cut) === group, "made once")
    }
  }

  func testABlockIsOneForANodeAndItsOwn() throws {
    try everyGroup { communicator, group in
      let block = try communicator.nodeBlock(bytes: 10_001, in: group, remedy: "")
      let words = block.base.assumingMemoryBound(to: Int64.self)
      XCTAssertEqual((0..<1250).reduce(0) { $0 + words[$1] }, 0)
      try communicator.synchronise(group)
      words[group.rank] = Int64(100 + communicator.rank)
      try communicator.synchronise(group)
      XCTAssertEqual((0..<group.count).map { words[$0] }, group.nodes[group.index].map { Int64(100 + $0) })
      XCTAssertEqual((group.count..<1250).reduce(0) { $0 + words[$1] }, 0)
      XCTAssertGreaterThanOrEqual(block.mappedBytes, 10_001)
      XCTAssertLessThan(block.mappedBytes, 10_001 + 4096 * (group.count + 1))
      try communicator.synchronise(group)
    }
  }

  func testPartsOfAllNodesReachEveryRank() throws {
    for chunk in [1 << 30, 8] {
      try everyGroup { communicator, group in
        try withChunks(of: chunk, communicator) {
          // Each rank writes some bytes at its place in its node's part.
          let lengths = group.nodes.map { node in node.map { 5 + 3 * $0 } }
          let parts = lengths.map { $0.reduce(0, +) }
          let block = try communicator.nodeBlock(bytes: parts.reduce(0, +), in: group, remedy: "")
          for round in 0..<3 {
            let before = parts[..<group.index].reduce(0, +) + lengths[group.index][..<group.rank].reduce(0, +)
            let own = exactBytes(5 + 3 * communicator.rank, rank: communicator.rank + round)
            (block.base + before).copyMemory(from: own, byteCount: own.count)
            let traffic = Traffic()
            try communicator.gather(block.base, bytes: parts, among: group, counting: traffic)
            let expected = (0..<communicator.size).flatMap { exactBytes(5 + 3 * $0, rank: $0 + round) }
            let found = Array(UnsafeRawBufferPointer(start: block.base, count: expected.count))
            XCTAssertEqual(found, expected, "\(group.nodes)")
            XCTAssertEqual(traffic.received, group.isLeader ? expected.count - parts[group.index] : 0)
            XCTAssertEqual(traffic.sent, group.isLeader ? parts[group.index] * (group.nodes.count - 1) : 0)
            try communicator.synchronise(group)
          }
        }
      }
    }
  }

  func testABlockThatANodeCannotHave() throws {
    let communicator = try sharedCommunicator()
    guard communicator.size > 1 else { return }
    var system = statvfs()
    XCTAssertEqual(statvfs("/dev/shm", &system), 0)
    let group = try communicator.nodeGroup()
    // So much for each rank that the system refuses before it takes a page.
    let bytes = communicator.size * (Int(system.f_blocks) + 1) * Int(system.f_frsize)
    XCTAssertThrowsError(try communicator.nodeBlock(bytes: bytes, in: group, remedy: "set other=thing")) {
      let failure = $0 as? Failure
      XCTAssertEqual(failure?.code, .unavailable)
      XCTAssertEqual(failure?.place, "/dev/shm")
      XCTAssertTrue(failure?.hint?.hasSuffix("or set other=thing") ?? false, failure?.hint ?? "")
      XCTAssertTrue(failure?.what.hasSuffix("No space left on device") ?? false, failure?.what ?? "")
    }
    for culprit in 0..<communicator.size {
      try withoutFiles(communicator.rank == culprit) {
        XCTAssertThrowsError(try communicator.nodeBlock(bytes: 10, in: group, remedy: "")) {
          XCTAssertTrue(
            ($0 as? Failure)?.what.hasPrefix("\(communicator.name(ofRank: culprit)): ") ?? false, "\($0)")
        }
      }
    }
    XCTAssertEqual(try communicator.nodeBlock(bytes: 10, in: group, remedy: "").bytes, 10)
    let pids = try communicator.allGather(Array("sslmpi-\(getpid())-".utf8)).map { String(decoding: $0, as: UTF8.self) }
    let names = try FileManager.default.contentsOfDirectory(atPath: "/dev/shm")
    XCTAssertEqual(names.filter { name in pids.contains { name.hasPrefix($0) } }, [])
    // Nobody makes the next block while another rank looks.
    try communicator.barrier()
  }
}
