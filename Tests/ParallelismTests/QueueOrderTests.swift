import Basics
import XCTest

@testable import Parallelism

/// The arithmetic of who brought what, against lists that are written down one sample at a time. Local.
final class QueueOrderTests: XCTestCase {
  func testOwnersAndPlacesOfLiveSamples() {
    for capacity in [1, 5, 12, 16, 31] {
      for batch in [1, 3, 4, 16, 40] {
        for ranks in 1...5 {
          for (offset, base) in [(0, 0), (capacity / 2, 7), (capacity - 1, 100)] {
            let order = QueueOrder(
              capacity: capacity, globalBatch: batch, ranks: ranks, offset: offset, base: base)
            for step in 0..<4 { expectPlaces(order, after: base + step * batch) }
          }
        }
      }
    }
  }

  private func expectPlaces(_ order: QueueOrder, after enqueued: Int) {
    let what = "\(order), after \(enqueued)"
    var slots = [Int](repeating: -1, count: order.capacity)
    var held = [[Int]](repeating: [], count: order.ranks)
    for sample in enqueued - order.capacity..<enqueued {
      let slot = order.slot(ofSample: sample)
      XCTAssertEqual(slots[slot], -1, what)
      slots[slot] = sample
      XCTAssertEqual(order.sample(inSlot: slot, after: enqueued), sample, what)
      // The place in the batch, counted from where batches begin.
      var place = sample - order.base
      while place < 0 { place += order.globalBatch }
      while place >= order.globalBatch { place -= order.globalBatch }
      let rank = order.rank(ofSample: sample)
      XCTAssertTrue(
        blockRange(count: order.globalBatch, part: rank, of: order.ranks).contains(place), what)
      held[rank].append(sample)
    }
    for rank in 0..<order.ranks {
      let share = order.share(of: rank)
      XCTAssertLessThanOrEqual(held[rank].count, share.room, what)
      let numbers = held[rank].map { share.number(before: $0) }
      XCTAssertEqual(numbers.map(share.sample), held[rank], what)
      XCTAssertEqual(Set(numbers.map(share.index)).count, numbers.count, "two in one place: \(what)")
      let live = share.liveNumbers(after: enqueued).flatMap { Array($0) }
      XCTAssertEqual(
        live.map { order.slot(ofSample: share.sample($0)) }, held[rank].map(order.slot).sorted(), what)
    }
  }

  func testBlockPartIsTheInverseOfBlockRange() {
    for count in 1...20 {
      for parts in 1...7 {
        for part in 0..<parts {
          for index in blockRange(count: count, part: part, of: parts) {
            XCTAssertEqual(blockPart(of: index, count: count, parts: parts), part)
          }
        }
      }
    }
  }

  func testTheStreamOfTheQueueHasTheNextNumber() {
    XCTAssertEqual(Purpose.probe.rawValue, 11)
    XCTAssertEqual(Purpose.queue.rawValue, 12)
  }
}
