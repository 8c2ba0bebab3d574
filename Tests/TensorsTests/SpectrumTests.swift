import TestKit
import Tensors
import XCTest

final class SpectrumTests: XCTestCase {
  func testEigenvaluesOfAKnownMatrix() {
    let values = Spectrum.symmetricEigenvalues(Tensor([2, 1, 0, 1, 2, 0, 0, 0, 5], [3, 3]))
    expectClose(values.map(Float.init), [1, 3, 5])
  }

  func testTraceAndSquaresAreKept() {
    let side = 40
    let random = ExactRandom.floats(side * side, seed: 1)
    var matrix = random
    for i in 0..<side { for j in 0..<side { matrix[i * side + j] = random[i * side + j] + random[j * side + i] } }
    let values = Spectrum.symmetricEigenvalues(Tensor(matrix, [side, side]))
    XCTAssertEqual(values.reduce(0, +), (0..<side).reduce(0.0) { $0 + Double(matrix[$1 * side + $1]) }, accuracy: 1e-4)
    XCTAssertEqual(
      values.reduce(0) { $0 + $1 * $1 }, matrix.reduce(0.0) { $0 + Double($1) * Double($1) }, accuracy: 1e-2)
  }
}
