import Foundation
import Tensors
import XCTest

final class StoragePoolTests: XCTestCase {
  /// Bytes of this process in memory.
  private func resident() throws -> Int {
    let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
    return (Int(fields[1]) ?? 0) * 4096
  }

  func testFreeBlocksGoBackToTheSystemWhenAsked() throws {
    let bytes = 96 << 20
    var tensor: Tensor? = Tensor(repeating: 1, [bytes / 4])
    XCTAssertEqual(tensor?.array.last, 1)
    let full = try resident()
    tensor = nil
    XCTAssertGreaterThan(try resident(), full - bytes / 2, "the pool keeps what it has")
    let taken = StoragePool.bytesFromSystem
    StoragePool.releaseFree()
    XCTAssertLessThan(try resident(), full - bytes / 2)
    let again = Tensor(repeating: 2, [bytes / 4])
    XCTAssertEqual(StoragePool.bytesFromSystem, taken, "the block is still the pool's")
    XCTAssertTrue(again.array.allSatisfy { $0 == 2 })
  }

  func testWhatIsInUseStaysAsItIs() {
    // Blocks of all kinds of sizes, every other one given back.
    var tensors: [Tensor?] = (1...200).map { Tensor(repeating: Float($0), [$0 * 97]) }
    for place in stride(from: 0, to: tensors.count, by: 2) { tensors[place] = nil }
    StoragePool.releaseFree()
    for (place, tensor) in tensors.enumerated() {
      if let tensor { XCTAssertTrue(tensor.array.allSatisfy { $0 == Float(place + 1) }, "\(place)") }
    }
  }

  /// Freed memory serves other sizes: small blocks lie where a large one was, and it again where they were.
  func testLargeBlocksAreCutAndGrowTogether() {
    let mebibyte = (1 << 20) / 4
    _ = Tensor(uninitialized: [192 * mebibyte])
    let taken = StoragePool.bytesFromSystem
    for sizes in [[48, 48, 48, 48], [192], [30, 96, 30, 30], [1, 190], [192]] {
      let tensors = sizes.map { Tensor(uninitialized: [$0 * mebibyte]) }
      for (place, tensor) in tensors.enumerated() { tensor.fill(Float(place)) }
      for (place, tensor) in tensors.enumerated() {
        XCTAssertTrue(tensor.array.allSatisfy { $0 == Float(place) }, "\(place) of \(sizes)")
      }
    }
    XCTAssertEqual(StoragePool.bytesFromSystem, taken)
  }
}
