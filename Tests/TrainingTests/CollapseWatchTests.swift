import Features
import Foundation
import XCTest

@testable import Training

final class CollapseWatchTests: XCTestCase {
  private let width = 4

  /// Features that vary by `spread` around one direction.
  private func health(spread: Float, count: Int = 32) -> FeatureHealth {
    var features: [Float] = []
    for row in 0..<count {
      for column in 0..<width {
        let step = (row * 7 + column * 5) % 11 - 5
        features.append(column == 0 ? 1 : spread * Float(step) / 5)
      }
    }
    return FeatureHealth(features: features, width: width)
  }

  func testAHealthyModelIsNotNamed() {
    var watch = CollapseWatch(globalBatch: 8)
    let healthy = health(spread: 1)
    XCTAssertGreaterThan(healthy.standardDeviation, 0.05)
    XCTAssertGreaterThan(healthy.effectiveRank, 2)
    XCTAssertEqual(watch.see(healthy, of: .encoder, at: 10), [])
    XCTAssertEqual(watch.see(healthy, of: .head, at: 10), [])
  }

  func testFeaturesThatAreAllAlikeAreNamedOncePerSignAndPart() {
    var watch = CollapseWatch(globalBatch: 8)
    let flat = health(spread: 0)
    XCTAssertEqual(watch.see(flat, of: .encoder, at: 0), [], "a fresh model says nothing")
    let found = watch.see(flat, of: .encoder, at: 1)
    XCTAssertEqual(found.map(\.sign), [.encoderSpread, .encoderRank])
    XCTAssertEqual(found[0].value, 0, accuracy: 1e-9)
    XCTAssertEqual(found[0].limit, 0.1 / Double(width).squareRoot(), accuracy: 1e-12)
    XCTAssertEqual(found[1].value, 1, accuracy: 1e-3)
    XCTAssertTrue(
      found[0].text.contains("encoder") && found[0].text.contains("0.05") && found[0].text.contains("hint:"))
    XCTAssertEqual(watch.see(flat, of: .encoder, at: 2), [])
    XCTAssertEqual(watch.see(flat, of: .head, at: 2).map(\.sign), [.headSpread, .headRank])
    XCTAssertEqual(watch.see(flat, of: .head, at: 3), [])
  }

  func testSpreadAndRankAreLimitsOfTheirOwn() {
    var watch = CollapseWatch(globalBatch: 8)
    let thin = health(spread: 0.02)
    XCTAssertLessThan(thin.standardDeviation, 0.05)
    XCTAssertEqual(watch.see(thin, of: .encoder, at: 1).map(\.sign).contains(.encoderSpread), true)
    // Two opposite directions spread widely, on one line.
    let line = FeatureHealth(
      features: (0..<32).flatMap { row -> [Float] in [row % 2 == 0 ? 1 : -1, 0, 0, 0] }, width: width)
    XCTAssertEqual(watch.see(line, of: .head, at: 1).map(\.sign), [.headRank])
  }

  func testAFewFeaturesSayNothing() {
    var watch = CollapseWatch(globalBatch: 8)
    XCTAssertEqual(watch.see(health(spread: 0, count: 7), of: .encoder, at: 1), [])
  }

  func testALossOfChanceCountsAfterAHundredStepsInARow() {
    var watch = CollapseWatch(globalBatch: 64)
    let chance = log(64.0)
    for _ in 0..<99 { XCTAssertEqual(watch.see(parts: [("nnclr", chance + 0.0009)]), []) }
    XCTAssertEqual(watch.see(parts: [("nnclr", chance - 0.002)]), [], "the row is broken")
    for _ in 0..<99 { XCTAssertEqual(watch.see(parts: [("nnclr", chance)]), []) }
    let found = watch.see(parts: [("reconstruction", 1), ("nnclr", chance)])
    XCTAssertEqual(found.map(\.sign), [.contrast])
    XCTAssertTrue(found[0].text.contains("ln(64) = 4.159") && found[0].text.contains("100 steps"), found[0].text)
    for _ in 0..<300 { XCTAssertEqual(watch.see(parts: [("nnclr", chance)]), []) }
  }

  func testOtherLossesMayBeWhatTheyWant() {
    var watch = CollapseWatch(globalBatch: 64)
    for _ in 0..<200 { XCTAssertEqual(watch.see(parts: [("reconstruction", log(64.0))]), []) }
    var single = CollapseWatch(globalBatch: 1)
    for _ in 0..<200 { XCTAssertEqual(single.see(parts: [("nnclr", 0)]), []) }
  }
}
