import XCTest

@testable import Parallelism

/// The cut of an arena into buckets.
final class BucketPlanTests: XCTestCase {
  private func elements(_ starts: [Int], _ count: Int, bytes: Int) -> [Range<Int>] {
    BucketPlan(starts: starts, count: count, bucketBytes: bytes).buckets.map(\.elements)
  }

  func testBucketsFollowBackward() {
    let plan = BucketPlan(starts: [0, 16, 64, 80, 96], count: 112, bucketBytes: 128)
    XCTAssertEqual(
      plan.buckets,
      [
        .init(parameters: 3..<5, elements: 80..<112), .init(parameters: 1..<3, elements: 16..<80),
        .init(parameters: 0..<1, elements: 0..<16),
      ])
    XCTAssertEqual(plan.bucketOfParameter, [2, 1, 1, 0, 0])
  }

  func testFirstBucketIsSmall() {
    let quarter = BucketPlan.firstBytes / 16
    let starts = (0..<40).map { $0 * quarter }
    let sizes = elements(starts, 40 * quarter, bytes: 8 * BucketPlan.firstBytes).map { $0.count / quarter }
    XCTAssertEqual(sizes, [4, 32, 4])
  }

  func testLargeParameterIsNotCut() {
    XCTAssertEqual(elements([0, 1000], 1016, bytes: 64), [1000..<1016, 0..<1000])
  }

  func testOneBucket() {
    XCTAssertEqual(elements([0, 16, 32], 48, bytes: 1 << 20), [0..<48])
    XCTAssertEqual(elements([], 0, bytes: 64), [])
    XCTAssertEqual(BucketPlan(starts: [], count: 0, bucketBytes: 64).bucketOfParameter, [])
  }

  func testEveryElementIsInOneBucket() {
    let starts = [0, 16, 48, 64, 320, 336, 1360, 1376]
    for bytes in [1, 64, 256, 1024, 4096, 1 << 20] {
      let plan = BucketPlan(starts: starts, count: 1500, bucketBytes: bytes)
      XCTAssertEqual(plan.buckets.reversed().flatMap { Array($0.elements) }, Array(0..<1500))
      XCTAssertEqual(plan.buckets.reversed().flatMap { Array($0.parameters) }, Array(starts.indices))
    }
  }
}
