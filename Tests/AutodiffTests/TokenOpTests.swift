import Autodiff
import Basics
import TestKit
import Tensors
import XCTest

final class TokenOpTests: XCTestCase {
  override func tearDown() { ThreadTeam.configure(threads: 1) }

  private let x = tensor([2, 4, 5], seed: 1)

  private func row(_ tensor: Tensor, _ index: Int) -> [Float] {
    Array(tensor.array[index * 5..<index * 5 + 5])
  }

  func testGatherTokens() {
    let indices: [Int32] = [3, 0, 3, 1, 2, 0]
    let y = gatherTokens(Variable(constant: x), indices: indices, perImage: 3)
    XCTAssertEqual(y.shape, [2, 3, 5])
    XCTAssertEqual(y.value.array, [3, 0, 3, 5, 6, 4].flatMap { row(x, $0) })
    let check = gradientCheck(inputs: [x]) { gatherTokens($0[0], indices: indices, perImage: 3) }
    XCTAssertLessThan(check.worstError, 1e-4)
  }

  func testPrependAndDrop() {
    ThreadTeam.configure(threads: 2)
    let token = parameter("token", [1, 1, 5], seed: 2)
    let y = prependToken(token, Variable(constant: x))
    XCTAssertEqual(y.shape, [2, 5, 5])
    XCTAssertEqual(row(y.value, 5), token.value.array)
    XCTAssertEqual(row(y.value, 6), row(x, 4))
    XCTAssertEqual(dropFirstToken(y).value.array, x.array)
    let check = gradientCheck(inputs: [x], parameters: [token]) { prependToken(token, $0[0]) }
    XCTAssertLessThan(check.worstError, 1e-4, check.worst)
    let drop = gradientCheck(inputs: [x]) { dropFirstToken($0[0]) }
    XCTAssertLessThan(drop.worstError, 1e-4)
  }

  func testMeanTokens() {
    for skipped in 0..<2 {
      let y = meanTokens(Variable(constant: x), skipping: skipped).value.array
      for image in 0..<2 {
        for j in 0..<5 {
          let tokens = (skipped..<4).map { Double(row(x, image * 4 + $0)[j]) }
          XCTAssertEqual(Double(y[image * 5 + j]), tokens.reduce(0, +) / Double(tokens.count), accuracy: 1e-6)
        }
      }
      let check = gradientCheck(inputs: [x]) { meanTokens($0[0], skipping: skipped) }
      XCTAssertLessThan(check.worstError, 1e-4)
    }
  }

  func testConcatenateAndRows() {
    let other = tensor([3, 4, 5], seed: 5)
    let joined = concatenateRows([Variable(constant: x), Variable(constant: other)])
    XCTAssertEqual(joined.value.array, x.array + other.array)
    XCTAssertEqual(rows(joined, 2..<5).value.array, other.array)
    let check = gradientCheck(inputs: [x, other]) { rows(concatenateRows([$0[0], $0[1], $0[0]]), 1..<6) }
    XCTAssertLessThan(check.worstError, 1e-4, check.worst)
  }
}
