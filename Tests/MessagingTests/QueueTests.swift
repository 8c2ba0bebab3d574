import Basics
import Messaging
import XCTest

/// The queue to the communication thread.
final class QueueTests: XCTestCase {
  func testManyRequestsInOrder() throws {
    let communicator = try sharedCommunicator()
    let count = 200
    let length = 33
    let values = UnsafeMutablePointer<Float>.allocate(capacity: count * length)
    defer { values.deallocate() }
    for index in 0..<count * length { values[index] = Float((index + communicator.rank) % 64) }
    let requests = (0..<count).map { communicator.startAllReduceSum(values + $0 * length, length) }
    // Waiting in another order than that of the queue changes nothing.
    for index in stride(from: count - 1, through: 0, by: -1) { try requests[index].wait() }
    XCTAssertTrue(requests.allSatisfy(\.isDone))
    for index in 0..<count * length {
      let expected = (0..<communicator.size).reduce(Float(0)) { $0 + Float((index + $1) % 64) }
      XCTAssertEqual(values[index], expected)
    }
  }

  func testMixedRequestsKeepTheirOrder() throws {
    let communicator = try sharedCommunicator()
    var values = [Float](repeating: 1, count: 5)
    try values.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      // The same memory three times: each sum must see the one before.
      let requests = (0..<3).map { _ in communicator.startAllReduceSum(base, 5) }
      let seen = communicator.onCommunicationThread { base[0] }
      XCTAssertEqual(seen, power(communicator.size, 3))
      for request in requests { try request.wait() }
      try communicator.broadcast(base, bytes: 20)
    }
    XCTAssertEqual(values, [Float](repeating: power(communicator.size, 3), count: 5))
  }

  func testEmptyRequestIsDone() throws {
    let communicator = try sharedCommunicator()
    var nothing: [Float] = [7]
    let request = communicator.startAllReduceSum(&nothing, 0)
    XCTAssertTrue(request.isDone)
    try request.wait()
    XCTAssertEqual(request.busySeconds, 0)
    XCTAssertEqual(nothing, [7])
  }

  func testWaitMayBeCalledAgain() throws {
    let communicator = try sharedCommunicator()
    let value = UnsafeMutablePointer<Float>.allocate(capacity: 1)
    defer { value.deallocate() }
    value.pointee = 2
    let request = communicator.startAllReduceSum(value, 1)
    try request.wait()
    try request.wait()
    XCTAssertEqual(value.pointee, 2 * Float(communicator.size))
  }

  func testCodeOnTheCommunicationThread() throws {
    let communicator = try sharedCommunicator()
    let caller = pthread_self()
    XCTAssertFalse(communicator.onCommunicationThread { pthread_equal(pthread_self(), caller) != 0 })
    // Nested use runs in place instead of waiting for itself.
    XCTAssertEqual(communicator.onCommunicationThread { communicator.onCommunicationThread { 5 } }, 5)
  }

  func testCodeOnTheCommunicationThreadMayThrow() throws {
    let communicator = try sharedCommunicator()
    let failure = Failure(.ioError, "disk full")
    XCTAssertThrowsError(try communicator.onCommunicationThread { () throws(Failure) -> Int in throw failure }) {
      XCTAssertEqual($0 as? Failure, failure)
    }
    // What foreign code throws does not break the communication.
    XCTAssertEqual(try communicator.allReduceSum([1.0]), [Double(communicator.size)])
  }

  func testPhaseIsKept() throws {
    let communicator = try sharedCommunicator()
    communicator.enter(phase: "validation", hangTimeout: 600)
    XCTAssertEqual(communicator.phase, "validation")
    communicator.enter(phase: "tests")
    XCTAssertEqual(communicator.phase, "tests")
  }

  private func power(_ base: Int, _ exponent: Int) -> Float {
    (0..<exponent).reduce(Float(1)) { product, _ in product * Float(base) }
  }
}
