import Autodiff
import Basics
import TestKit
import Tensors
import XCTest

final class SharedTokenTests: XCTestCase {
  override func tearDown() { ThreadTeam.configure(threads: 1) }

  /// 3 images of 5 tokens, 2 of them their own; 4 shared ones, of which one stands twice in an image and one nowhere.
  private let sources: [Int32] = [0, 1, 2, 3, 3, 2, 1, 5, 0, 3, 3, 2, 5, 1, 0]
  private var places: TokenPlaces { TokenPlaces(sources, images: 3, own: 2, shared: 4) }

  private func row(_ x: Tensor, _ index: Int) -> [Float] { x.rows(index..<index + 1).array }

  func testPlaceTokens() {
    let (own, shared) = (tensor([3, 2, 7], seed: 1), tensor([4, 7], seed: 2))
    for threads in 1...3 {
      ThreadTeam.configure(threads: threads)
      let y = placeTokens(own: Variable(constant: own), shared: Variable(constant: shared), places)
      XCTAssertEqual(y.shape, [3, 5, 7])
      for (place, source) in sources.map(Int.init).enumerated() {
        let expected = source < 2 ? row(own.reshaped([6, 7]), place / 5 * 2 + source) : row(shared, source - 2)
        XCTAssertEqual(row(y.value.reshaped([15, 7]), place), expected, "place \(place)")
      }
      let check = gradientCheck(inputs: [own, shared]) { placeTokens(own: $0[0], shared: $0[1], places) }
      XCTAssertLessThan(check.worstError, 1e-4, check.worst)
    }
  }

  func testAddPositions() {
    let (x, positions) = (tensor([2, 3, 5], seed: 1), tensor([6, 5], seed: 2))
    let indices: [Int32] = [4, 0, 2, 5]
    let token = parameter("token", [1, 1, 5], seed: 3)
    for threads in 1...2 {
      ThreadTeam.configure(threads: threads)
      let y = addPositions(Variable(constant: x), positions, indices: indices).value.reshaped([6, 5])
      for image in 0..<2 {
        XCTAssertEqual(row(y, image * 3), row(x.reshaped([6, 5]), image * 3), "the class token has no position")
        for k in 0..<2 {
          let expected = zip(
            row(x.reshaped([6, 5]), image * 3 + 1 + k), row(positions, Int(indices[image * 2 + k]))
          ).map(+)
          XCTAssertEqual(row(y, image * 3 + 1 + k), expected)
        }
      }
      let everywhere = addPositions(token: token, positions).value
      for place in 0..<6 {
        XCTAssertEqual(row(everywhere, place), zip(token.value.array, row(positions, place)).map(+))
      }
      let check = gradientCheck(inputs: [x]) { addPositions($0[0], positions, indices: indices) }
      XCTAssertLessThan(check.worstError, 1e-4, check.worst)
      let ofToken = gradientCheck(inputs: [], parameters: [token]) { _ in addPositions(token: token, positions) }
      XCTAssertLessThan(ofToken.worstError, 1e-4, ofToken.worst)
    }
  }

  /// Against the plain operation on tokens in their places, whose own reference is the definition.
  func testSelfAttentionOfSharedTokens() {
    let (own, shared) = (tensor([3, 2, 12], seed: 1), tensor([4, 12], seed: 2))
    let (w, b) = (parameter("w", [36, 12], seed: 3), parameter("b", [36], seed: 4))
    func run(_ op: (Variable, Variable) -> Variable) -> [[Float]] {
      for p in [w, b] { p.gradient.fill(0) }
      let (a, da) = Variable.leaf(own)
      let (s, ds) = Variable.leaf(shared)
      let y = op(a, s)
      y.backward(gradient: tensor(y.shape, seed: 5))
      return [y.value.array, da()?.array ?? [], ds()?.array ?? [], w.gradient.array, b.gradient.array]
    }
    for threads in 1...3 {
      ThreadTeam.configure(threads: threads)
      let plain = run { selfAttention(placeTokens(own: $0, shared: $1, places), qkvWeight: w, qkvBias: b, heads: 3) }
      let once = run { selfAttention(own: $0, shared: $1, places, qkvWeight: w, qkvBias: b, heads: 3) }
      for (what, (a, b)) in zip(["y", "own", "shared", "weight", "bias"], zip(once, plain)) {
        XCTAssertLessThan(relativeError(a, b), 1e-6, what)
      }
      XCTAssertEqual(once[4][12..<24], [Float](repeating: 0, count: 12)[...], "the key bias")
      let again = run {
        selfAttention(own: $0, shared: $1, places, qkvWeight: w, qkvBias: b, heads: 3, keepsQKV: false)
      }
      XCTAssertEqual(again, once)
      let silent = withoutGradient {
        selfAttention(
          own: Variable(constant: own), shared: Variable(constant: shared), places, qkvWeight: w, qkvBias: b, heads: 3)
      }
      XCTAssertEqual(silent.value.array, once[0])
      let check = gradientCheck(inputs: [own, shared], parameters: [w, b]) {
        selfAttention(own: $0[0], shared: $0[1], places, qkvWeight: w, qkvBias: b, heads: 3)
      }
      XCTAssertLessThan(check.worstError, 3e-3, check.worst)
    }
  }
}
