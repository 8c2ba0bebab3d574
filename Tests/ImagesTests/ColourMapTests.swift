import XCTest

@testable import Images

final class ColourMapTests: XCTestCase {
  func testLightnessRisesEvenlyFromOneEndToTheOther() {
    let lightness = (0...255).map { ColourMap.sequential[Double($0) / 255].lightness }
    for (place, value) in lightness.enumerated() {
      XCTAssertEqual(value, 0.24 + 0.70 * Double(place) / 255, accuracy: 0.01)
    }
    XCTAssertEqual(Colour.white.lightness, 1, accuracy: 1e-6)
    XCTAssertEqual(Colour(0, 0, 0).lightness, 0, accuracy: 1e-6)
    // L of sRGB red as the source of the colour space gives it.
    XCTAssertEqual(Colour(255, 0, 0).lightness, 0.628, accuracy: 1e-3)
  }

  func testValuesBeyondTheEndsHaveTheColoursOfTheEnds() {
    XCTAssertEqual(ColourMap.sequential[-3], ColourMap.sequential[0])
    XCTAssertEqual(ColourMap.sequential[7], ColourMap.sequential[1])
    XCTAssertNotEqual(ColourMap.sequential[0], ColourMap.sequential[1])
    XCTAssertEqual(ColourMap.counts[0], .white)
  }

  func testAMapOfValuesBecomesSquares() {
    let picture = ColourMap.sequential.picture(of: [0, 1, 1, 0], columns: 2, from: 0, to: 1, cell: 3)
    XCTAssertEqual([picture.width, picture.height], [6, 6])
    func colour(_ x: Int, _ y: Int) -> Colour {
      let place = 3 * (y * 6 + x)
      return Colour(picture.bytes[place], picture.bytes[place + 1], picture.bytes[place + 2])
    }
    XCTAssertEqual(colour(2, 2), ColourMap.sequential[0])
    XCTAssertEqual(colour(3, 2), ColourMap.sequential[1])
    XCTAssertEqual(colour(2, 3), ColourMap.sequential[1])
    XCTAssertEqual(colour(5, 5), ColourMap.sequential[0])
  }

  func testClassesHaveColoursOfTheirOwn() {
    for count in [2, 10, 25] {
      let colours = (0..<count).map { Colour.ofClass($0, among: count) }
      for a in 0..<count {
        for b in 0..<a {
          let distance =
            abs(Int(colours[a].red) - Int(colours[b].red))
            + abs(Int(colours[a].green) - Int(colours[b].green)) + abs(Int(colours[a].blue) - Int(colours[b].blue))
          XCTAssertGreaterThan(distance, 30, "classes \(a) and \(b) of \(count)")
        }
      }
    }
  }

  func testTheNumbersOfABarAreRoundAndOnTheScale() {
    func numbers(_ low: Double, _ high: Double) -> [String] {
      ColourBar(.sequential, from: low, to: high, caption: "").numbers.map(\.text)
    }
    XCTAssertEqual(numbers(-1, 1), ["1.0", "0.5", "0.0", "-0.5", "-1.0"])
    XCTAssertEqual(numbers(-0.5, 1), ["1.0", "0.5", "0.0", "-0.5"])
    XCTAssertEqual(numbers(0, 1), ["1.0", "0.8", "0.6", "0.4", "0.2", "0.0"])
    XCTAssertEqual(numbers(0, 3.9), ["3", "2", "1", "0"])
    XCTAssertEqual(numbers(0, 0.04), ["0.04", "0.03", "0.02", "0.01", "0.00"])
    XCTAssertEqual(numbers(0, 12), ["10.0", "7.5", "5.0", "2.5", "0.0"])
    XCTAssertEqual(numbers(0, 100), ["100", "80", "60", "40", "20", "0"])
    XCTAssertEqual(numbers(0.7, 0.7), ["0.70"])
  }
}
