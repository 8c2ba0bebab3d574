import Basics
import Foundation
import XCTest

@testable import Images

final class RandomResizedCropTests: XCTestCase {
  private let rule = RandomResizedCrop(scale: 0.2...1, ratio: 0.75...(4.0 / 3))

  private func boxes(_ rule: RandomResizedCrop, _ width: Int, _ height: Int, count: Int) -> [CropBox] {
    (0..<count).map { i in
      var random = RandomStream(seed: 5, purpose: .crop, index: i)
      return rule.box(width: width, height: height, random: &random)
    }
  }

  func testBoxesLieWithinTheImageAndTheBounds() {
    for (width, height) in [(500, 375), (375, 500), (32, 32), (640, 200)] {
      for box in boxes(rule, width, height, count: 500) {
        XCTAssertTrue(box.fits(width: width, height: height), "\(box)")
        let aspect = Double(box.width) / Double(box.height)
        let slack = 1.5 / Double(min(box.width, box.height))
        XCTAssertGreaterThan(aspect, 0.75 * (1 - slack))
        XCTAssertLessThan(aspect, 4.0 / 3 * (1 + slack))
        let share = Double(box.width * box.height) / Double(width * height)
        XCTAssertLessThanOrEqual(share, 1)
        XCTAssertGreaterThan(share, 0.2 * (1 - 2 * slack))
      }
    }
  }

  func testAreaAndPlaceAreUniform() {
    // On a square with shares up to a half, hardly any try is rejected: the share is uniform in 0.1 ... 0.5.
    let small = RandomResizedCrop(scale: 0.1...0.5, ratio: 0.75...(4.0 / 3))
    let all = boxes(small, 1000, 1000, count: 4000)
    let shares = all.map { Double($0.width * $0.height) / 1e6 }
    XCTAssertEqual(shares.reduce(0, +) / 4000, 0.3, accuracy: 4 * 0.4 / 12.0.squareRoot() / 4000.0.squareRoot())
    let places = all.map { Double($0.left) / Double(1000 - $0.width) }
    XCTAssertEqual(places.reduce(0, +) / 4000, 0.5, accuracy: 4 / 12.0.squareRoot() / 4000.0.squareRoot())
    let logs = all.map { log2(Double($0.width) / Double($0.height)) }
    XCTAssertEqual(logs.reduce(0, +) / 4000, 0, accuracy: 4 * 0.83 / 12.0.squareRoot() / 4000.0.squareRoot())
  }

  func testOneKeyGivesOneBox() {
    XCTAssertEqual(boxes(rule, 500, 375, count: 20), boxes(rule, 500, 375, count: 20))
    XCTAssertGreaterThan(Set(boxes(rule, 500, 375, count: 20).map(\.left)).count, 10)
  }

  func testFallbackIsTheCentreWithTheNearestAspect() {
    XCTAssertEqual(rule.centre(width: 100, height: 100), CropBox(left: 0, top: 0, width: 100, height: 100))
    XCTAssertEqual(rule.centre(width: 1000, height: 90), CropBox(left: 440, top: 0, width: 120, height: 90))
    XCTAssertEqual(rule.centre(width: 90, height: 1000), CropBox(left: 0, top: 440, width: 90, height: 120))
    XCTAssertEqual(rule.centre(width: 1, height: 1), CropBox(left: 0, top: 0, width: 1, height: 1))
    // The whole of so long an image never fits the ratio: every try is rejected.
    let long = RandomResizedCrop(scale: 0.9...1, ratio: 0.75...(4.0 / 3))
    XCTAssertEqual(boxes(long, 1000, 90, count: 5), Array(repeating: long.centre(width: 1000, height: 90), count: 5))
  }
}
