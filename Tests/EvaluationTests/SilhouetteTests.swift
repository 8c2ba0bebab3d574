import Basics
import Messaging
import Tensors
import TestKit
import XCTest

@testable import Evaluation

final class SilhouetteTests: XCTestCase {
  func testValuesAreThoseOfScikitLearnForEveryNumberOfRanks() throws {
    let golden = Golden.load("cluster")
    let communicator = try sharedCommunicator()
    for number in 0..<Int(golden.number("silhouette")) {
      let name = "silhouette\(number)"
      let scale = Float(golden.number("scale"))
      let points = KMeansPoints(
        Tensor(golden.floats("\(name).points").map { $0 / scale }, Shape(golden.shape("\(name).points"))))
      let labels = golden.ints("\(name).labels").map(Int32.init)
      let classes = Int(labels.max() ?? 0) + 2  // the last class has no points
      let values = try Silhouette.values(points, labels: labels, classes: classes, communicator: communicator)
      let expected = golden.doubles("\(name).values")
      XCTAssertEqual(values.count, expected.count)
      for (value, expected) in zip(values, expected) { XCTAssertEqual(value, expected, accuracy: 1e-5, name) }
      let mean = values.reduce(0, +) / Double(values.count)
      XCTAssertEqual(mean, expected.reduce(0, +) / Double(expected.count), accuracy: 1e-6)
      if number == 0 { XCTAssertEqual(mean, 0.607129, accuracy: 1e-6) }
    }
  }

  func testPointsThatAreTheSameKeepTheirDigits() throws {
    // Far from the origin the difference of squared lengths has none left.
    var values: [Float] = []
    for step in 0..<8 { values += [1000 + Float(step % 2), 1000] }
    let points = KMeansPoints(Tensor(values, [8, 2]))
    let labels: [Int32] = [0, 1, 0, 1, 0, 1, 0, 1]
    let silhouette = try Silhouette.values(points, labels: labels, classes: 2, communicator: try sharedCommunicator())
    XCTAssertEqual(silhouette, [Double](repeating: 1, count: 8))
  }
}
