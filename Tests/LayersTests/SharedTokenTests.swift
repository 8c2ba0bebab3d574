import Autodiff
import Basics
import Layers
import TestKit
import Tensors
import XCTest

/// Taking tokens that images share once changes neither the result nor a gradient.
final class SharedTokenTests: XCTestCase {
  override func tearDown() { ThreadTeam.configure(threads: 1) }

  private let own = Tensor(ExactRandom.floats(3 * 4 * 16, seed: 1), [3, 4, 16])
  private let shared = Tensor(ExactRandom.floats(6 * 16, seed: 2), [6, 16])
  private let selection = TokenSelection(indices: [1, 6, 2, 3, 0, 5], perImage: 2)

  /// 7 tokens an image: 4 of its own and 3 of the shared ones, which differ from image to image.
  private var places: TokenPlaces {
    TokenPlaces(
      [0, 4, 1, 6, 2, 3, 9, 0, 1, 2, 3, 9, 5, 4, 7, 4, 3, 2, 8, 1, 0], images: 3, own: 4, shared: 6)
  }

  private func run(
    _ depth: Int, _ recompute: Recompute, _ body: (BlockStack, SharedTokens) -> Variable
  ) -> [[Float]] {
    let builder = ModelBuilder(seed: 3, recompute: recompute)
    let stack = BlockStack(depth: depth, width: 16, heads: 2, hidden: 32, builder)
    let arena = builder.build()
    for (i, value) in ExactRandom.floats(arena.count, seed: 4).enumerated() { arena.weights.pointer[i] += 0.2 * value }
    let (a, da) = Variable.leaf(own)
    let (s, ds) = Variable.leaf(shared)
    let y = body(stack, SharedTokens(own: a, shared: s, places: places))
    y.backward(gradient: Tensor(ExactRandom.floats(y.shape.count, seed: 5), y.shape))
    return [y.value.array, da()?.array ?? [], ds()?.array ?? []] + arena.parameters.map(\.gradient.array)
  }

  func testSharedTokensGiveWhatPlacedOnesGive() {
    for threads in 1...3 {
      ThreadTeam.configure(threads: threads)
      for (depth, selection) in [(0, nil), (1, nil), (1, selection), (2, nil), (2, selection)] {
        let expected = run(depth, .none) { $0($1.placed(), keeping: depth == 0 ? nil : selection).last }
        for recompute in Recompute.allCases {
          let found = run(depth, recompute) { $0($1, keeping: selection) }
          for (place, (a, b)) in zip(found, expected).enumerated() {
            XCTAssertLessThan(relativeError(a, b), 2e-6, "\(place) of depth \(depth), \(recompute), \(threads) threads")
          }
        }
      }
    }
  }

  func testEveryRecomputationGivesTheSameBits() {
    for threads in 1...2 {
      ThreadTeam.configure(threads: threads)
      let expected = run(2, .none) { $0($1, keeping: selection) }
      for recompute in Recompute.allCases {
        XCTAssertEqual(run(2, recompute) { $0($1, keeping: selection) }, expected, "\(recompute)")
      }
    }
  }
}
