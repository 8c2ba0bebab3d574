import Layers
import TestKit
import XCTest

final class PositionsTests: XCTestCase {
  func testInvariant02Positions() {
    let table = sinCosPositions(width: 768, grid: 14)
    XCTAssertEqual(table.shape.dims, [196, 768])
    let values = table.array
    let first = (0..<4).flatMap { [Float](repeating: Float($0 % 2), count: 192) }
    XCTAssertEqual(Array(values[0..<768]), first)
    for row in 0..<196 {
      let squares = values[(row * 768)..<((row + 1) * 768)].reduce(0.0) { $0 + Double($1) * Double($1) }
      XCTAssertEqual(squares, 384, accuracy: 1e-3)
    }
    let second = Array(values[768..<1536])  // x = 1, y = 0
    XCTAssertEqual(second[0], 0.84147, accuracy: 1e-5)
    XCTAssertEqual(second[192], 0.54030, accuracy: 1e-5)
    XCTAssertEqual(second[384], 0)
    XCTAssertEqual(second[576], 1)
    XCTAssertEqual(sum(values), 69594.5, accuracy: 0.05)
    XCTAssertEqual(sum(sinCosPositions(width: 192, grid: 14).array), 17277.554, accuracy: 0.001)
  }

  private func sum(_ values: [Float]) -> Double { values.reduce(0) { $0 + Double($1) } }
}
