import Basics
import Glibc
import Synchronization
import XCTest

final class ThreadTeamTests: XCTestCase {
  override func tearDown() { ThreadTeam.configure(threads: 1) }

  func testSplitAndDealCoverEveryItemOnce() {
    for threads in 1...4 {
      ThreadTeam.configure(threads: threads)
      for count in [0, 1, 2, 3, 7, 64, 1001] {
        for grain in [1, 4, 16] {
          let team = ThreadTeam.shared
          for (name, share) in [("split", team.split), ("deal", team.deal)] {
            let hits = UnsafeMutableBufferPointer<Int32>.allocate(capacity: max(count, 1))
            hits.initialize(repeating: 0)
            defer { hits.deallocate() }
            nonisolated(unsafe) let shared = hits
            share(count, grain) { range in
              XCTAssertEqual(range.lowerBound % grain, 0)
              for i in range { shared[i] += 1 }
            }
            XCTAssert(
              hits.prefix(count).allSatisfy { $0 == 1 }, "\(name) \(count), grain \(grain), threads \(threads)")
          }
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

  /// A thread that is held up takes nothing more; the others do its work.
  func testDealGivesTheWorkOfASlowThreadToTheOthers() {
    ThreadTeam.configure(threads: 2)
    let first = Mutex<Range<Int>?>(nil)
    let rest = Atomic<Int>(0)
    ThreadTeam.shared.deal(1000, grain: 10) { range in
      let isFirst = first.withLock { taken in
        defer { taken = taken ?? range }
        return taken == nil
      }
      guard isFirst else { return _ = rest.wrappingAdd(range.count, ordering: .sequentiallyConsistent) }
      // Ends only when everything else is done, which this thread cannot have been given.
      while rest.load(ordering: .sequentiallyConsistent) < 1000 - range.count { sched_yield() }
    }
    XCTAssertEqual(first.withLock { $0 }, 0..<250)
    XCTAssertEqual(rest.load(ordering: .sequentiallyConsistent), 750)
  }

  func testSplitRangesAreFixedByCountAndThreads() {
    XCTAssertEqual((0..<3).map { blockRange(count: 8, part: $0, of: 3) }, [0..<3, 3..<6, 6..<8])
    XCTAssertEqual((0..<4).map { blockRange(count: 2, part: $0, of: 4) }, [0..<1, 1..<2, 2..<2, 2..<2])
  }
}
