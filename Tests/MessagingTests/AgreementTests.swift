import Basics
import Messaging
import XCTest

/// All ranks go on, or all throw the same failure.
final class AgreementTests: XCTestCase {
  private func failure(of rank: Int) -> Failure {
    Failure(.ioError, "cannot write \"part \(rank)\"", at: rank == 0 ? nil : "/data/\(rank)", hint: "free\nspace")
  }

  private func expected(_ communicator: Communicator, from rank: Int) -> Failure {
    let own = failure(of: rank)
    return communicator.size == 1 ? own : own.prefixed("\(communicator.name(ofRank: rank)): ")
  }

  func testNoFailure() throws {
    try sharedCommunicator().agree(nil)
  }

  func testOneFailingRank() throws {
    let communicator = try sharedCommunicator()
    for culprit in 0..<communicator.size {
      let own = communicator.rank == culprit ? failure(of: culprit) : nil
      XCTAssertThrowsError(try communicator.agree(own)) {
        XCTAssertEqual($0 as? Failure, expected(communicator, from: culprit))
      }
    }
  }

  func testTwoFailingRanksGiveTheLowest() throws {
    let communicator = try sharedCommunicator()
    let last = communicator.size - 1
    let culprits = [max(0, last - 1), last]
    let own = culprits.contains(communicator.rank) ? failure(of: communicator.rank) : nil
    XCTAssertThrowsError(try communicator.agree(own)) {
      XCTAssertEqual($0 as? Failure, expected(communicator, from: culprits[0]))
    }
  }

  func testAllFailingRanksGiveRankZero() throws {
    let communicator = try sharedCommunicator()
    XCTAssertThrowsError(try communicator.agree(failure(of: communicator.rank))) {
      XCTAssertEqual($0 as? Failure, expected(communicator, from: 0))
    }
  }

  func testAgreedWork() throws {
    let communicator = try sharedCommunicator()
    XCTAssertEqual(try communicator.agreed { () throws(Failure) -> Int in communicator.rank }, communicator.rank)
    let culprit = communicator.size - 1
    XCTAssertThrowsError(
      try communicator.agreed { () throws(Failure) -> Int in
        if communicator.rank == culprit { throw failure(of: culprit) }
        return 1
      }
    ) { XCTAssertEqual($0 as? Failure, expected(communicator, from: culprit)) }
    // The ranks are still in step.
    XCTAssertEqual(try communicator.allReduceSum([Int64(1)]), [Int64(communicator.size)])
  }
}
