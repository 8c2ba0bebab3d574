import Basics
import Messaging
import XCTest

/// The world of the test process: MPI starts once, and ends by itself when the process leaves.
///
/// Every test of these files is collective: all ranks run the same tests in the same order.
func sharedCommunicator(file: StaticString = #filePath, line: UInt = #line) throws -> Communicator {
  try World.start().communicator
}

/// Runs `body` with MPI calls cut into slices of `bytes`.
func withChunks<R>(of bytes: Int, _ communicator: Communicator, _ body: () throws -> R) rethrows -> R {
  let usual = communicator.chunkBytes
  communicator.chunkBytes = bytes
  defer { communicator.chunkBytes = usual }
  return try body()
}

/// Values of one rank that every rank can compute: small whole numbers, so that sums are exact in any order.
func exactValues(_ count: Int, rank: Int) -> [Int64] {
  (0..<count).map { Int64((($0 * 37 + rank * 101 + 11) % 257) - 128) }
}

/// A byte string of one rank that every rank can compute.
func exactBytes(_ count: Int, rank: Int) -> [UInt8] {
  (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ rank &* 7 &+ 3) }
}
