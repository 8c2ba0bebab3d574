import XCTest

@testable import Evaluation

/// The solver on functions whose minimum is known. No communication.
final class LBFGSTests: XCTestCase {
  func testRosenbrock() {
    var x = [-1.2, 1]
    let outcome = LBFGS(tolerance: 1e-9).minimise(&x) { x, gradient in
      let (a, b) = (x[1] - x[0] * x[0], 1 - x[0])
      gradient = [-400 * x[0] * a - 2 * b, 200 * a]
      return 100 * a * a + b * b
    }
    XCTAssertTrue(outcome.hasConverged)
    XCTAssertEqual(x[0], 1, accuracy: 1e-8)
    XCTAssertEqual(x[1], 1, accuracy: 1e-8)
    XCTAssertLessThan(outcome.iterations, 60)
  }

  /// sum_i i (x_i - i)² / 2
  private func stiff(_ x: [Double], _ gradient: inout [Double]) -> Double {
    var value = 0.0
    for i in x.indices {
      let difference = x[i] - Double(i)
      gradient[i] = Double(i + 1) * difference
      value += 0.5 * Double(i + 1) * difference * difference
    }
    return value
  }

  func testQuadraticOfManyCurvatures() {
    var x = [Double](repeating: 0, count: 200)
    let outcome = LBFGS(tolerance: 1e-10).minimise(&x, stiff)
    XCTAssertTrue(outcome.hasConverged)
    for i in x.indices { XCTAssertEqual(x[i], Double(i), accuracy: 1e-9) }
  }

  func testTheLimitIsHeldAndSaid() {
    var x = [Double](repeating: 0, count: 200)
    let outcome = LBFGS(tolerance: 1e-10, limit: 5).minimise(&x, stiff)
    XCTAssertFalse(outcome.hasConverged)
    XCTAssertEqual(outcome.iterations, 5)
    XCTAssertGreaterThan(outcome.gradient, 1e-10)
  }

  func testAMinimumIsLeftAlone() {
    var x = (0..<200).map(Double.init)
    let outcome = LBFGS().minimise(&x, stiff)
    XCTAssertEqual(outcome.iterations, 0)
    XCTAssertEqual(outcome.evaluations, 1)
    XCTAssertEqual(x, (0..<200).map(Double.init))
  }

  func testAFunctionWithoutMinimumEnds() {
    var x = [0.0]
    let outcome = LBFGS().minimise(&x) { x, gradient in
      gradient = [-1]
      return -x[0]
    }
    XCTAssertFalse(outcome.hasConverged)
  }

  func testStepsFulfilTheStrongWolfeConditions() {
    // cos falls from 0.3 on with slope -sin: steps that are far too long and far too short.
    for first in [1e-3, 0.1, 1, 10, 100] {
      let slope = -sin(0.3)
      var search = LineSearch(value: cos(0.3), slope: slope, decrease: 1e-4, curvature: 0.1, next: first)
      var found: Double?
      while let step = search.next {
        if search.take(value: cos(0.3 + step), slope: -sin(0.3 + step)) { found = step }
      }
      guard let found else { return XCTFail("no step from \(first)") }
      XCTAssertLessThanOrEqual(cos(0.3 + found), cos(0.3) + 1e-4 * found * slope)
      XCTAssertLessThanOrEqual(abs(sin(0.3 + found)), 0.1 * abs(slope))
    }
  }

  func testAnUphillDirectionHasNoStep() {
    XCTAssertNil(LineSearch(value: 0, slope: 1, decrease: 1e-4, curvature: 0.9, next: 1).next)
  }
}
