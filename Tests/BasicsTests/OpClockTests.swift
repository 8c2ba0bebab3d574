import Basics
import Foundation
import Synchronization
import XCTest

final class OpClockTests: XCTestCase {
  private func pass(seconds: Double) {
    let end = monotonicSeconds() + seconds
    while monotonicSeconds() < end {}
  }

  private func total(_ op: OpClass, _ totals: [OpClock.Total]) -> OpClock.Total { totals[op.rawValue] }

  func testInnerMeasurementsAreTakenOutOfTheOuterOne() {
    let before = monotonicSeconds()
    OpClock.start()
    pass(seconds: 0.002)
    let inner = OpClock.measure(.attention, work: 5) { () -> Double in
      pass(seconds: 0.003)
      let start = monotonicSeconds()
      OpClock.measure(.linear, work: 7) { pass(seconds: 0.004) }
      let inner = monotonicSeconds() - start
      OpClock.count(.attention, work: 11)
      return inner
    }
    let totals = OpClock.stop()
    let all = monotonicSeconds() - before
    XCTAssertGreaterThanOrEqual(total(.other, totals).seconds, 0.002)
    XCTAssertGreaterThanOrEqual(total(.attention, totals).seconds, 0.003)
    XCTAssertGreaterThanOrEqual(total(.linear, totals).seconds, 0.004)
    // Every moment counts once: what one class has, the others cannot have.
    XCTAssertLessThanOrEqual(total(.linear, totals).seconds, inner)
    let sum = totals.reduce(0) { $0 + $1.seconds }
    XCTAssertGreaterThanOrEqual(sum, 0.009 - 1e-9)
    XCTAssertLessThanOrEqual(sum, all + 1e-9)
    XCTAssertEqual(total(.attention, totals).work, 16)
    XCTAssertEqual(total(.linear, totals).work, 7)
  }

  func testWaitingForTheTeamCountsToTheClassesOfTheOperation() {
    ThreadTeam.configure(threads: 2)
    defer { ThreadTeam.configure(threads: 1) }
    let isFinished = Atomic<Bool>(false)
    var own = 0.0
    OpClock.start()
    OpClock.measure(.elementwise) { pass(seconds: 0.001) }
    let before = monotonicSeconds()
    OpClock.measure(.attention) {
      ThreadTeam.shared.run { thread in
        if thread == 0 {
          let start = monotonicSeconds()
          OpClock.measure(.linear) { pass(seconds: 0.003) }
          own = monotonicSeconds() - start
          isFinished.store(true, ordering: .releasing)
        } else {
          while !isFinished.load(ordering: .acquiring) {}
          pass(seconds: 0.02)
        }
      }
    }
    let taken = monotonicSeconds() - before
    let totals = OpClock.stop()
    let (linear, attention) = (total(.linear, totals).seconds, total(.attention, totals).seconds)
    // All but what starting and ending take is linear, and so is the wait.
    XCTAssertGreaterThan(linear, own)
    XCTAssertGreaterThanOrEqual(linear + attention, own + 0.02)
    XCTAssertLessThanOrEqual(linear + attention, taken)
    XCTAssertEqual(total(.optimiser, totals), OpClock.Total())
  }

  func testStartBeginsFromZeroAndNothingCountsAfterStop() {
    OpClock.start()
    OpClock.measure(.optimiser, work: 3) {}
    XCTAssertEqual(total(.optimiser, OpClock.stop()).work, 3)
    OpClock.measure(.optimiser, work: 3) {}
    OpClock.start()
    OpClock.measure(.data, work: 2) {}
    let totals = OpClock.stop()
    XCTAssertEqual(total(.optimiser, totals), OpClock.Total())
    XCTAssertEqual(total(.data, totals).work, 2)
  }

  func testOtherThreadsCountNothing() {
    OpClock.start()
    let ended = DispatchSemaphore(value: 0)
    let thread = Thread {
      OpClock.measure(.linear, work: 9) { OpClock.count(.attention, work: 9) }
      ended.signal()
    }
    thread.start()
    ended.wait()
    let totals = OpClock.stop()
    XCTAssertEqual(total(.linear, totals), OpClock.Total())
    XCTAssertEqual(total(.attention, totals), OpClock.Total())
  }

  func testAThrowingBodyLeavesItsClass() {
    struct Stop: Error {}
    OpClock.start()
    XCTAssertThrowsError(try OpClock.measure(.normalisation) { throw Stop() })
    pass(seconds: 0.002)
    let totals = OpClock.stop()
    XCTAssertGreaterThanOrEqual(total(.other, totals).seconds, 0.002)
  }
}
