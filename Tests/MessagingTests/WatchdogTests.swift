import Basics
import XCTest

@testable import Messaging

/// Who is missing, from what ranks publish; no clock and no second process is involved.
final class WatchdogTests: XCTestCase {
  private let layout = WorldLayout(
    rank: 2, size: 5, nodeRank: 1, nodeSize: 3, leaders: [0, 1, 1, 1, 0], hostNames: ["a", "b", "b", "b", "a"])

  private func status(_ sequence: Int, _ kind: OperationKind = .none, heartbeat: Double = 100) -> RankStatus {
    RankStatus(heartbeat: heartbeat, sequence: sequence, kind: kind, phase: "data")
  }

  private func report(_ kind: OperationKind, _ statuses: [RankStatus], layout: WorldLayout? = nil) -> HangReport {
    HangReport(
      flight: InFlight(kind: kind, sequence: 7, phase: Phase(name: "step"), started: 40), waited: 60,
      layout: layout ?? self.layout,
      sightings: zip((layout ?? self.layout).nodeRanks, statuses).map {
        Sighting(rank: $0, status: $1, silentSeconds: 100 - $1.heartbeat)
      })
  }

  func testNodeRanks() {
    XCTAssertEqual(layout.nodeRanks, [1, 2, 3])
  }

  func testRankThatDidNotArrive() {
    let report = report(.allReduce, [status(7, .allReduce), status(7, .allReduce), status(6)])
    XCTAssertEqual(report.missing.map(\.rank), [3])
    XCTAssertEqual(report.failure.code, .rankLost)
    XCTAssertEqual(
      report.failure.what, "all-reduce #7 of phase \"step\" has not ended after 60 s; it waits for rank 3")
    XCTAssertEqual(report.failure.place, "rank 2 (b)")
    XCTAssertTrue(
      report.failure.hint?.hasPrefix("rank 3 (b) is in phase \"data\", last entered operation #6.") ?? false)
  }

  func testRankThatWentOnHasArrived() {
    XCTAssertEqual(report(.broadcast, [status(9, .barrier), status(7, .broadcast), status(7)]).missing.map(\.rank), [])
  }

  func testRankThatIsStopped() {
    // Rank 1 entered the operation and was stopped inside of it.
    let report = report(
      .allReduce, [status(7, .allReduce, heartbeat: 70), status(7, .allReduce), status(7, .allReduce)])
    XCTAssertEqual(report.missing.map(\.rank), [1])
    XCTAssertTrue(report.failure.hint?.contains("no sign of life for 30 s") ?? false)
  }

  func testNobodyIsMissingHere() {
    let all = [status(7, .allReduce), status(7, .allReduce), status(7, .allReduce)]
    XCTAssertTrue(report(.allReduce, all).failure.what.hasSuffix("all 3 ranks that can be seen from here are in it"))
    XCTAssertTrue(report(.allReduce, all).failure.hint?.contains("another node") ?? false)
    let oneNode = WorldLayout(
      rank: 1, size: 3, nodeRank: 1, nodeSize: 3, leaders: [0, 0, 0], hostNames: ["a", "a", "a"])
    let inFiles = [status(7, .task), status(7, .task), status(7, .task)]
    XCTAssertTrue(report(.task, inFiles, layout: oneNode).failure.hint?.contains("file system") ?? false)
  }

  func testTaskWaitsForRanksOutsideOfIt() {
    XCTAssertEqual(report(.task, [status(7, .task), status(7, .task), status(7)]).missing.map(\.rank), [3])
  }

  func testBoardKeepsWhatRanksPublish() {
    let words = UnsafeMutablePointer<Int64>.allocate(capacity: StatusBoard.words(slots: 2))
    defer { words.deallocate() }
    words.initialize(repeating: 0, count: StatusBoard.words(slots: 2))
    let board = StatusBoard(base: words, slots: 2)
    board.slot(1).beat(at: 12.5)
    board.slot(1).setPhase("größer als gedacht")
    board.slot(1).enter(.gather, sequence: 41, at: 12)
    XCTAssertEqual(
      board.slot(1).read(), RankStatus(heartbeat: 12.5, sequence: 41, kind: .gather, phase: "größer als gedacht"))
    XCTAssertEqual(board.slot(0).read(), RankStatus(heartbeat: 0, sequence: 0, kind: .none, phase: ""))
    board.slot(1).leave()
    board.slot(1).setPhase(String(repeating: "x", count: 100))
    XCTAssertEqual(board.slot(1).read().kind, .none)
    XCTAssertEqual(board.slot(1).read().phase, String(repeating: "x", count: 64))
    XCTAssertTrue(board.claim())
    XCTAssertFalse(board.claim())
  }

  func testDatagramsBringRanksOfOtherNodes() throws {
    let (receiver, invitation) = try XCTUnwrap(SideChannel.receiver(nonce: 99))
    let sender = try XCTUnwrap(SideChannel.sender(invitation: invitation))
    defer {
      receiver.closeSocket()
      sender.closeSocket()
    }
    let ranks = Array(20..<34)
    let words = UnsafeMutablePointer<Int64>.allocate(capacity: StatusBoard.words(slots: ranks.count))
    defer { words.deallocate() }
    words.initialize(repeating: 0, count: StatusBoard.words(slots: ranks.count))
    let board = StatusBoard(base: words, slots: ranks.count)
    for (index, rank) in ranks.enumerated() {
      board.slot(index).beat(at: 50)
      board.slot(index).setPhase("phase \(rank)")
      board.slot(index).enter(.barrier, sequence: rank, at: 50)
    }
    sender.send(board, ranks: ranks, at: 52)
    var seen: [Int: Sighting] = [:]
    while seen.count < ranks.count {
      for sighting in receiver.receive(blocking: true) { seen[sighting.rank] = sighting }
    }
    for rank in ranks {
      let status = RankStatus(heartbeat: 50, sequence: rank, kind: .barrier, phase: "phase \(rank)")
      XCTAssertEqual(seen[rank], Sighting(rank: rank, status: status, silentSeconds: 2))
    }
    XCTAssertNil(SideChannel.sender(invitation: ""))
  }

  func testStoppedTimeDoesNotCount() {
    var watch = Stopwatch()
    XCTAssertEqual(watch.waited(for: nil, now: 0), 0)
    XCTAssertEqual(watch.waited(for: 1, now: 1), 0)
    XCTAssertEqual(watch.waited(for: 1, now: 1.5), 0.5)
    // The process was stopped for an hour.
    XCTAssertEqual(watch.waited(for: 1, now: 3601.5), 1.5)
    XCTAssertEqual(watch.waited(for: 2, now: 3602), 0)
    XCTAssertEqual(watch.waited(for: nil, now: 3603), 0)
    XCTAssertEqual(watch.waited(for: nil, now: 3604), 0)
  }

  func testEncodedFailures() {
    let failure = Failure(.badData, "a \"b\" \\ ü\n", at: nil, hint: "c")
    XCTAssertEqual(Failure(encoded: failure.encoded), failure)
    XCTAssertEqual(Failure(encoded: Array("no".utf8)).code, .internalError)
  }
}
