import Basics
import TestKit
import XCTest

@testable import Tensors

final class TensorTests: XCTestCase {
  func testShape() {
    let shape: Shape = [2, 3, 4]
    XCTAssertEqual(shape.count, 24)
    XCTAssertEqual(shape.leading, 6)
    XCTAssertEqual(shape.lastAxis, 4)
    XCTAssertEqual(shape.replacingLast(5), [2, 3, 5])
    XCTAssertEqual(Shape([]).count, 1)
    XCTAssertEqual(Shape([]).leading, 1)
    XCTAssertEqual("\(shape)", "[2, 3, 4]")
  }

  func testViewsShareValues() {
    let x = Tensor((0..<12).map { Float($0) }, [3, 4])
    let row = x.rows(1..<2)
    XCTAssertEqual(row.array, [4, 5, 6, 7])
    row.fill(0)
    XCTAssertEqual(x.array, [0, 1, 2, 3, 0, 0, 0, 0, 8, 9, 10, 11])
    XCTAssertEqual(x.reshaped([2, 6]).rows(1..<2).array, [0, 0, 8, 9, 10, 11])
    let copy = x.copy()
    copy.fill(1)
    XCTAssertEqual(x.array[0], 0)
    XCTAssertEqual(Tensor([3], []).item, 3)
  }

  func testSizeClassesHoldWhatTheyPromise() {
    for bytes in [1, 255, 256, 257, 1000, 4096, 4097, 1 << 20, (1 << 20) + 1, 123_456_789] {
      let index = SizeClass.index(bytes: bytes)
      XCTAssertGreaterThanOrEqual(SizeClass.bytes(index), bytes)
      XCTAssertTrue(index == 0 || SizeClass.bytes(index - 1) < bytes, "\(bytes) fits a smaller class")
      XCTAssertEqual(SizeClass.bytes(index) % 64, 0)
    }
    for bytes in [256, 300, 5000, 1 << 25] {
      XCTAssertLessThanOrEqual(SizeClass.bytes(SizeClass.indexBelow(bytes: bytes)), bytes)
    }
  }

  func testPoolReusesBlocks() {
    func step() -> [Int] {
      let tensors = [100, 5000, 400_000, 9_000_000].map { Tensor(uninitialized: [$0]) }
      for tensor in tensors {
        XCTAssertEqual(Int(bitPattern: tensor.pointer) % 64, 0)
        tensor.pointer[tensor.count - 1] = 1
      }
      return tensors.map { Int(bitPattern: $0.pointer) }
    }
    let first = Set(step())
    let allocations = StoragePool.systemAllocations
    let bytes = StoragePool.bytesFromSystem
    for _ in 0..<5 { XCTAssertEqual(Set(step()), first) }
    XCTAssertEqual(StoragePool.systemAllocations, allocations)
    XCTAssertEqual(StoragePool.bytesFromSystem, bytes)
    XCTAssertGreaterThanOrEqual(StoragePool.peakBytes, 4 * 9_405_100)
  }

  func testLiveBlocksNeverOverlap() {
    var random = RandomStream(seed: 1, purpose: .probe)
    var live: [Tensor] = []
    for round in 0..<400 {
      if live.count > 20 { live.remove(at: random.integer(below: live.count)) }
      let tensor = Tensor(repeating: Float(round), [1 + random.integer(below: 200_000)])
      live.append(tensor)
    }
    let ranges = live.map { (Int(bitPattern: $0.pointer), $0.count * 4) }.sorted { $0.0 < $1.0 }
    for (a, b) in zip(ranges, ranges.dropFirst()) { XCTAssertLessThanOrEqual(a.0 + a.1, b.0) }
    for tensor in live { XCTAssertEqual(Set(tensor.array).count, 1) }
  }

  func testUnpooledStorageIsZero() {
    let storage = Storage.unpooled(1000)
    XCTAssertEqual(Tensor(storage: storage, offset: 0, shape: [1000]).array, [Float](repeating: 0, count: 1000))
  }

  func testStorageOfSomebodyElseKeepsItAliveAndFreesNothing() {
    final class Owner {
      let base: UnsafeMutablePointer<Float>
      init() {
        base = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 64).bindMemory(to: Float.self, capacity: 64)
        base.initialize(repeating: 1.5, count: 64)
      }
      deinit { base.deallocate() }
    }
    var owner: Owner? = Owner()
    weak let watched = owner
    let before = StoragePool.bytesInUse
    var tensor: Tensor? = owner.map { Tensor(storage: Storage($0.base, count: 64, of: $0), offset: 16, shape: [48]) }
    owner = nil
    XCTAssertNotNil(watched)
    XCTAssertEqual(tensor?.array, [Float](repeating: 1.5, count: 48))
    tensor = nil
    XCTAssertNil(watched)
    XCTAssertEqual(StoragePool.bytesInUse, before)
  }

  func testInstructionSetByName() throws {
    let before = InstructionSet.chosen
    defer { InstructionSet.force(before) }
    try InstructionSet.force(named: "baseline")
    XCTAssertEqual(InstructionSet.chosen, .baseline)
    try InstructionSet.force(named: "auto")
    XCTAssertEqual(InstructionSet.chosen, InstructionSet.available.last)
    XCTAssertThrowsError(try InstructionSet.force(named: "avx9")) {
      XCTAssertEqual(($0 as? Failure)?.code, .badConfig)
    }
  }
}
