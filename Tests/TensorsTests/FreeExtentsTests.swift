import TestKit
import XCTest

@testable import Tensors

final class FreeExtentsTests: XCTestCase {
  private func extents(_ parts: (UInt, Int)...) -> [FreeExtents.Extent] {
    parts.map { .init(start: $0.0, bytes: $0.1) }
  }

  func testTheSmallestThatFitsIsCut() {
    var free = FreeExtents()
    for (start, bytes) in [(1000, 500), (3000, 100), (5000, 200), (7000, 200)] as [(UInt, Int)] {
      free.give(.init(start: start, bytes: bytes))
    }
    XCTAssertEqual(free.take(150), 5000)
    XCTAssertEqual(free.take(100), 3000, "all of it")
    XCTAssertEqual(free.take(60), 7000)
    XCTAssertEqual(free.take(600), nil)
    XCTAssertEqual(free.extents, extents((1000, 500), (5150, 50), (7060, 140)))
    XCTAssertEqual(free.take(endingAt: 5200), .init(start: 5150, bytes: 50))
    XCTAssertEqual(free.take(endingAt: 5200), nil)
  }

  func testNeighboursGrowTogether() {
    var free = FreeExtents()
    free.give(.init(start: 200, bytes: 100))
    free.give(.init(start: 400, bytes: 0))
    free.give(.init(start: 400, bytes: 100))
    XCTAssertEqual(free.extents, extents((200, 100), (400, 100)))
    free.give(.init(start: 500, bytes: 10))
    free.give(.init(start: 190, bytes: 10))
    XCTAssertEqual(free.extents, extents((190, 110), (400, 110)))
    free.give(.init(start: 300, bytes: 100))
    XCTAssertEqual(free.extents, extents((190, 320)))
  }

  /// Against a map of bytes: what is taken was free and is one piece, and at the end all is one part again.
  func testManyTurnsAgainstAMap() {
    let length = 4096
    var isFree = [Bool](repeating: true, count: length)
    var free = FreeExtents()
    free.give(.init(start: 0, bytes: length))
    var held: [FreeExtents.Extent] = []
    let draws = ExactRandom.floats(4000, seed: 5)
    for draw in draws {
      if draw > 0 || held.isEmpty {
        let bytes = 1 + Int(abs(draw) * 300)
        var longest = 0
        var run = 0
        for place in isFree {
          run = place ? run + 1 : 0
          longest = max(longest, run)
        }
        guard let start = free.take(bytes) else {
          XCTAssertLessThan(longest, bytes)
          continue
        }
        let taken = FreeExtents.Extent(start: start, bytes: bytes)
        for place in Int(start)..<Int(taken.end) {
          XCTAssertTrue(isFree[place])
          isFree[place] = false
        }
        held.append(taken)
      } else {
        let back = held.remove(at: Int(-draw * 1e6) % held.count)
        for place in Int(back.start)..<Int(back.end) { isFree[place] = true }
        free.give(back)
      }
      XCTAssertEqual(free.extents.reduce(0) { $0 + $1.bytes }, isFree.filter { $0 }.count)
    }
    for extent in held { free.give(extent) }
    XCTAssertEqual(free.extents, extents((0, length)))
  }
}
