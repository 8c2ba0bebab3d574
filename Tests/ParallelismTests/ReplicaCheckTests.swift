import Basics
import Messaging
import Tensors
import TestKit
import XCTest

@testable import Parallelism

/// Replicas that differ are found and named. Collective: the same on all ranks.
final class ReplicaCheckTests: XCTestCase {
  private func items() -> [(String, Tensor)] {
    [1, 5, 33, 1000].enumerated().map {
      ("blocks.\($0).weight", Tensor(ExactRandom.floats($1, seed: UInt64($0)), [$1]))
    }
  }

  func testEqualReplicasPass() throws {
    let communicator = try World.start().communicator
    try ReplicaCheck.verify(items(), communicator)
    try ReplicaCheck.verify([(String, Tensor)](), communicator)
  }

  func testFlippedBitIsFoundAndNamed() throws {
    let communicator = try World.start().communicator
    guard communicator.size > 1 else { return }
    for culprit in 0..<communicator.size {
      for bit in [0, 17, 31] {
        let tensors = items()
        if communicator.rank == culprit { flip(bit: bit, of: tensors[2].1, at: 32) }
        let expected = communicator.size == 2 ? [0, 1] : [culprit]
        XCTAssertThrowsError(try ReplicaCheck.verify(tensors, communicator)) {
          XCTAssertEqual(($0 as? Failure)?.code, .diverged)
          XCTAssertEqual(($0 as? Failure)?.what, "replicas differ in blocks.2.weight")
          XCTAssertEqual(
            ($0 as? Failure)?.place, expected.map(communicator.name(ofRank:)).joined(separator: ", "))
        }
      }
    }
  }

  func testSeveralDifferencesAreCounted() throws {
    let communicator = try World.start().communicator
    guard communicator.size > 1 else { return }
    let tensors = items()
    if communicator.rank == 0 { for tensor in tensors.dropFirst() { flip(bit: 3, of: tensor.1, at: 0) } }
    XCTAssertThrowsError(try ReplicaCheck.verify(tensors, communicator)) {
      XCTAssertEqual(($0 as? Failure)?.what, "replicas differ in blocks.1.weight (and 2 more)")
    }
  }

  func testDifferentListsAreFound() throws {
    let communicator = try World.start().communicator
    guard communicator.size > 1 else { return }
    let tensors = communicator.rank == 0 ? Array(items().dropLast()) : items()
    XCTAssertThrowsError(try ReplicaCheck.verify(tensors, communicator)) {
      XCTAssertEqual(($0 as? Failure)?.code, .diverged)
      XCTAssertTrue(($0 as? Failure)?.what.contains("of 3, 4") ?? false)
    }
  }

  func testDigestsOfOtherMemory() throws {
    let communicator = try World.start().communicator
    let ids: [Int64] = [3, 1, 4]
    let same = ids.withUnsafeBytes { ReplicaCheck.digest("queue/ids", $0) }
    try ReplicaCheck.verify([same], communicator)
    guard communicator.size > 1 else { return }
    let own = [Int64(communicator.rank)].withUnsafeBytes { ReplicaCheck.digest("queue/ids", $0) }
    XCTAssertThrowsError(try ReplicaCheck.verify([own], communicator)) {
      XCTAssertEqual(($0 as? Failure)?.what, "replicas differ in queue/ids")
    }
  }

  func testHashSeesEveryBitAndTheLength() {
    var seen: Set<UInt64> = []
    var bytes = [UInt8](repeating: 0, count: 75)
    seen.insert(bytes.withUnsafeBytes(replicaHash))
    for bit in 0..<bytes.count * 8 {
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      seen.insert(bytes.withUnsafeBytes(replicaHash))
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
    }
    for length in 0..<75 { seen.insert([UInt8](repeating: 0, count: length).withUnsafeBytes(replicaHash)) }
    XCTAssertEqual(seen.count, 1 + 75 * 8 + 75)
  }

  func testHashSeesTheOrderOfWords() {
    let a = (0..<64).map { UInt8($0) }
    for stride in [8, 32] {
      var b = a
      for index in 0..<stride { b.swapAt(index, index + stride) }
      XCTAssertNotEqual(a.withUnsafeBytes(replicaHash), b.withUnsafeBytes(replicaHash))
    }
  }

  func testMinority() {
    XCTAssertEqual(ReplicaCheck.minority([[1], [1], [2]]), [2])
    XCTAssertEqual(ReplicaCheck.minority([[3], [1], [2], [1]]), [0, 2])
    XCTAssertEqual(ReplicaCheck.minority([[1], [2]]), [0, 1])
    XCTAssertEqual(ReplicaCheck.minority([[1], [1]]), [])
  }

  private func flip(bit: Int, of tensor: Tensor, at index: Int) {
    tensor.pointer[index] = Float(bitPattern: tensor.pointer[index].bitPattern ^ (1 << UInt32(bit)))
  }
}
