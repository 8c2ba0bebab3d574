import XCTest

@testable import Settings

final class IntervalTests: XCTestCase {
  func testReadsEveryUnit() {
    XCTAssertEqual(Interval("100 steps"), .steps(100))
    XCTAssertEqual(Interval("1 epoch"), .epochs(1))
    XCTAssertEqual(Interval("0.5 epochs"), .epochs(0.5))
    XCTAssertEqual(Interval("30 min"), .minutes(30))
    XCTAssertEqual(Interval("2 h"), .minutes(120))
    XCTAssertEqual(Interval("90 s"), .minutes(1.5))
    XCTAssertEqual(Interval("65536 images"), .images(65536))
    XCTAssertEqual(Interval("20%"), .percent(20))
    XCTAssertEqual(Interval("20 %"), .percent(20))
  }

  func testRefusesWhatHasNoMeaning() {
    for text in ["", "100", "steps", "-1 epoch", "1.5 steps", "120%", "nan epochs", "inf min", "1 parsec", "1 2 steps"]
    {
      XCTAssertNil(Interval(text), text)
    }
  }

  func testSpellingReadsBack() {
    let intervals: [Interval] = [
      .steps(1), .steps(100), .epochs(1), .epochs(0.3), .minutes(30), .minutes(1.5), .minutes(1.0 / 3), .images(7),
      .percent(12.5),
    ]
    for interval in intervals { XCTAssertEqual(Interval(interval.text), interval, interval.text) }
  }

  func testStepsOfARun() {
    func steps(_ interval: Interval) -> Int? {
      interval.steps(stepsPerEpoch: 1251, totalSteps: 25020, globalBatch: 1024)
    }
    XCTAssertEqual(steps(.steps(7)), 7)
    XCTAssertEqual(steps(.epochs(20)), 25020)
    XCTAssertEqual(steps(.epochs(0.0001)), 1)
    XCTAssertEqual(steps(.epochs(0)), 0)
    XCTAssertEqual(steps(.percent(20)), 5004)
    XCTAssertEqual(steps(.images(1025)), 2)
    XCTAssertNil(steps(.minutes(3)))
    XCTAssertNil(steps(.never))
  }

  func testDurations() {
    XCTAssertEqual(durationInSeconds("23:45:00"), 85_500)
    XCTAssertEqual(durationInSeconds("10 min"), 600)
    XCTAssertEqual(durationInSeconds("2 h"), 7200)
    XCTAssertEqual(durationInSeconds("1 d"), 86_400)
    for text in ["10", "1:75:00", "1:00", "a:b:c", "-1 s"] { XCTAssertNil(durationInSeconds(text), text) }
  }
}
