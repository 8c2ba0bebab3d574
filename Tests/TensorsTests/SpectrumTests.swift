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
  func testEigenvectorsAreUnitRowsThatTheMatrixOnlyScales() {
    let side = 30
    let random = ExactRandom.floats(side * side, seed: 2)
    var matrix = [Double](repeating: 0, count: side * side)
    for i in 0..<side {
      for j in 0..<side { matrix[i * side + j] = Double(random[i * side + j] + random[j * side + i]) }
    }
    let (values, vectors) = Spectrum.symmetricEigenvectors(matrix, side: side)
    XCTAssertEqual(values, values.sorted())
    for (lambda, place) in zip(values, 0..<side) {
      let vector = vectors[place * side..<(place + 1) * side].map { $0 }
      XCTAssertEqual(vector.reduce(0) { $0 + $1 * $1 }, 1, accuracy: 1e-12)
      for i in 0..<side {
        let product = (0..<side).reduce(0.0) { $0 + matrix[i * side + $1] * vector[$1] }
        XCTAssertEqual(product, lambda * vector[i], accuracy: 1e-10)
      }
    }
  }
  func testGramIsTheSumOverRows() {
    for (count, width) in [(0, 3), (1, 1), (7, 5), (1030, 4)] {
      let values = ExactRandom.floats(count * width, seed: 3)
      let mean = (0..<width).map { Double($0) / 10 }
      for mean in [nil, mean] {
        let gram = Spectrum.gram(Tensor(values, [count, width]), less: mean)
        func value(_ row: Int, _ d: Int) -> Double { Double(values[row * width + d]) - (mean?[d] ?? 0) }
        for i in 0..<width {
          for j in 0..<width {
            let sum = (0..<count).reduce(0.0) { $0 + value($1, i) * value($1, j) }
            XCTAssertEqual(gram[i * width + j], sum, accuracy: 1e-11, "\((count, width)) at \((i, j))")
          }
        }
      }
    }
  }
}
