import Basics
import Synchronization
import XCTest

final class ThreadTeamTests: XCTestCase {
  override func tearDown() { ThreadTeam.configure(threads: 1) }

  func testSplitCoversEveryItemOnce() {
    for threads in 1...4 {
      ThreadTeam.configure(threads: threads)
      for count in [0, 1, 2, 3, 7, 64, 1001] {
        for grain in [1, 4, 16] {
          let hits = UnsafeMutableBufferPointer<Int32>.allocate(capacity: max(count, 1))
          hits.initialize(repeating: 0)
          defer { hits.deallocate() }
          nonisolated(unsafe) let shared = hits
          ThreadTeam.shared.split(count, grain: grain) { _, range in
            for i in range { shared[i] += 1 }
          }
          XCTAssert(hits.prefix(count).allSatisfy { $0 == 1 }, "count \(count), grain \(grain), threads \(threads)")
        }
      }
    }
  }

  func testRunCallsEveryThreadOnceAndWakesSleepers() {
    ThreadTeam.configure(threads: 3)
    let seen = Mutex<[Int]>([])
    for _ in 0..<200 { ThreadTeam.shared.run { thread in seen.withLock { $0.append(thread) } } }
    let counts = seen.withLock { all in (0..<3).map { thread in all.count { $0 == thread } } }
    XCTAssertEqual(counts, [200, 200, 200])
  }

  func testSplitRangesAreFixedByCountAndThreads() {
    XCTAssertEqual((0..<3).map { blockRange(count: 8, part: $0, of: 3) }, [0..<3, 3..<6, 6..<8])
    XCTAssertEqual((0..<4).map { blockRange(count: 2, part: $0, of: 4) }, [0..<1, 1..<2, 2..<2, 2..<2])
  }
}
