import Storage
import XCTest

final class HyperslabTests: XCTestCase {
  /// The row-major places of the elements of a box.
  private func places(_ box: Hyperslab, in shape: [Int]) -> [Int] {
    var places = [0]
    for axis in shape.indices {
      places = places.flatMap { outer in
        (box.start[axis]..<box.start[axis] + box.count[axis]).map { outer * shape[axis] + $0 }
      }
    }
    return places
  }

  func testBoxesCoverEveryRangeInOrder() {
    for shape in [[7], [3, 4], [2, 3, 4], [1, 5, 1], [4, 1, 3], [2, 1, 2, 3]] {
      let count = shape.reduce(1, *)
      for lower in 0...count {
        for upper in lower...count {
          let boxes = Hyperslab.covering(lower..<upper, of: shape)
          XCTAssertEqual(boxes.flatMap { places($0, in: shape) }, Array(lower..<upper), "\(shape) \(lower)..<\(upper)")
          XCTAssertLessThanOrEqual(boxes.count, 2 * shape.count - 1)
        }
      }
    }
  }

  func testScalarAndEmptyArrays() {
    XCTAssertEqual(Hyperslab.covering(0..<1, of: []), [Hyperslab(start: [], count: [])])
    XCTAssertEqual(Hyperslab.covering(0..<1, of: [])[0].elements, 1)
    XCTAssertEqual(Hyperslab.covering(0..<0, of: [0, 4]), [])
    XCTAssertEqual(Hyperslab.covering(0..<0, of: []), [])
  }
}
