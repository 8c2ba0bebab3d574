import Basics
import TestKit
import XCTest

@testable import Messaging

/// Numbers and bytes from every rank to every rank, and the count of what travels. Collective: the same on all ranks.
final class ExchangeTests: XCTestCase {
  /// What rank `from` has for rank `to`; nothing for some.
  private func length(_ from: Int, _ to: Int) -> Int { (from + 2 * to) % 3 == 0 ? 0 : 7 * from + 13 * to + 5 }

  private func block(_ from: Int, _ to: Int) -> [UInt8] { exactBytes(length(from, to), rank: 10 * from + to) }

  func testNumbers() throws {
    let communicator = try sharedCommunicator()
    let traffic = Traffic()
    let numbers = (0..<communicator.size).map { 100 * communicator.rank + $0 }
    let expected = (0..<communicator.size).map { 100 * $0 + communicator.rank }
    XCTAssertEqual(try communicator.exchange(numbers, counting: traffic), expected)
    XCTAssertEqual(traffic.sent, 8 * (communicator.size - 1))
    XCTAssertEqual(traffic.received, 8 * (communicator.size - 1))
  }

  func testBytesWholeAndInSlices() throws {
    let communicator = try sharedCommunicator()
    let (rank, ranks) = (communicator.rank, 0..<communicator.size)
    for chunk in [1 << 30, 16, 3] {
      try withChunks(of: chunk, communicator) {
        let traffic = Traffic()
        let (sends, receives) = (ranks.map { length(rank, $0) }, ranks.map { length($0, rank) })
        var target = [UInt8](repeating: 0, count: receives.reduce(0, +) + 1)
        let outgoing: [[UInt8]] = ranks.map { block(rank, $0) } + [[0]]
        let incoming: [[UInt8]] = ranks.map { block($0, rank) } + [[0]]
        try communicator.allToAll(
          Array(outgoing.joined()), sendBytes: sends, into: &target, receiveBytes: receives,
          counting: traffic)
        XCTAssertEqual(target, Array(incoming.joined()))
        XCTAssertEqual(traffic.sent, sends.reduce(0, +) - sends[rank])
        XCTAssertEqual(traffic.received, receives.reduce(0, +) - receives[rank])
      }
    }
  }

  func testNothingToExchange() throws {
    let communicator = try sharedCommunicator()
    let zeros = [Int](repeating: 0, count: communicator.size)
    var target: [UInt8] = [9]
    try communicator.allToAll([1], sendBytes: zeros, into: &target, receiveBytes: zeros)
    XCTAssertEqual(target, [9])
  }

  func testGatherIsCounted() throws {
    let communicator = try sharedCommunicator()
    let traffic = Traffic()
    let lengths = (0..<communicator.size).map { 3 + 2 * $0 }
    let own = exactBytes(lengths[communicator.rank], rank: communicator.rank)
    var target = [UInt8](repeating: 0, count: lengths.reduce(0, +))
    try communicator.allGather(own, bytes: lengths, into: &target, counting: traffic)
    XCTAssertEqual(traffic.received, lengths.reduce(0, +) - own.count)
    XCTAssertEqual(traffic.sent, own.count * (communicator.size - 1))
    let total = try communicator.allReduceSum([Int64(traffic.sent - traffic.received)])
    XCTAssertEqual(total, [0], "what is sent is received")
  }
}
