import Basics
import Features
import Messaging
import Tensors
import TestKit
import XCTest

@testable import Evaluation

final class KMeansPointsTests: XCTestCase {
  func testStandardisedPointsAreThoseOfScikitLearnOnEveryRankAndPlacement() throws {
    let golden = Golden.load("cluster")
    let communicator = try sharedCommunicator()
    let shape = Shape(golden.shape("standard.points"))
    let rows = golden.floats("standard.points").map { $0 / Float(golden.number("scale")) }
    let set = FeatureSet(
      dealing: Tensor(rows, shape), labels: [Int32](repeating: 0, count: shape[0]), to: communicator)
    for placement in PointPlacement.allCases {
      let points = try KMeansPoints(set, isStandardised: true, placement: placement, communicator: communicator)
      for (value, expected) in zip(points.rows.array, golden.doubles("standard.values")) {
        XCTAssertEqual(Double(value), expected, accuracy: 2e-7, "\(placement)")
      }
      let plain = try KMeansPoints(set, placement: placement, communicator: communicator)
      XCTAssertEqual(plain.rows.array, rows)
      for row in 0..<shape[0] {
        let own = rows[row * shape[1]..<(row + 1) * shape[1]]
        XCTAssertEqual(plain.squaredNorms[row], own.reduce(0) { $0 + Double($1) * Double($1) }, accuracy: 1e-9)
      }
    }
  }

  func testAFeatureThatIsNoNumberIsRefusedOnAllRanks() throws {
    let communicator = try sharedCommunicator()
    var values = [Float](repeating: 1, count: 40)
    values[27] = .nan
    let set = FeatureSet(
      dealing: Tensor(values, [10, 4]), labels: [Int32](repeating: 0, count: 10), to: communicator)
    XCTAssertThrowsError(try KMeansPoints(set, communicator: communicator)) { error in
      let failure = error as? Failure
      XCTAssertEqual(failure?.code, .nonFinite)
      XCTAssertTrue(failure?.what.contains("image 6 ") ?? false, failure?.what ?? "")
    }
  }

  func testFeaturesOfTokensAreRefused() throws {
    let communicator = try sharedCommunicator()
    let set = FeatureSet(
      dealing: Tensor(zeros: [8, 2, 3]), labels: [Int32](repeating: 0, count: 8), to: communicator)
    XCTAssertThrowsError(try KMeansPoints(set, communicator: communicator)) {
      XCTAssertEqual(($0 as? Failure)?.code, .badData)
    }
  }
}
