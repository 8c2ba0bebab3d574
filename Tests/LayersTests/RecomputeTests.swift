import Autodiff
import Basics
import Layers
import TestKit
import Tensors
import XCTest

final class RecomputeTests: XCTestCase {
  override func tearDown() { ThreadTeam.configure(threads: 1) }

  private struct Model {
    let vit: ViT
    let decoder: MAEDecoder
    let arena: ParameterArena

    init(_ recompute: Recompute, depth: Int = 2, decoderDepth: Int = 2) {
      let configuration = ViTConfiguration(width: 32, depth: depth, heads: 2, patch: 4, imgSize: 16)
      let builder = ModelBuilder(seed: 3, recompute: recompute)
      vit = ViT(configuration, builder)
      decoder = MAEDecoder(
        DecoderConfiguration(width: 16, depth: decoderDepth, heads: 2), of: configuration, builder)
      arena = builder.build()
      for (i, value) in ExactRandom.floats(arena.count, seed: 4).enumerated() {
        arena.weights.pointer[i] += 0.1 * value
      }
    }

    func loss(_ images: Tensor) -> Variable {
      let mask = Mask.random(
        tokens: 16, ratio: 0.75, images: Array(0..<images.shape[0]), view: 0, epoch: 0, seed: 1)
      return maskedPatchLoss(
        decoder.removedPatches(vit(images, keep: mask), mask),
        target: normalizedPatchTargets(images, patch: 4, indices: mask.removedIndices),
        mask: [Float](repeating: 1, count: mask.images * mask.removedCount))
    }
  }

  private let images = Tensor(ExactRandom.floats(5 * 3 * 16 * 16, seed: 9), [5, 3, 16, 16])

  func testLossAndGradientsAreTheSameBits() {
    for threads in 1...3 {
      ThreadTeam.configure(threads: threads)
      func run(_ recompute: Recompute) -> (loss: Float, gradients: [Float]) {
        let model = Model(recompute)
        let loss = model.loss(images)
        loss.backward()
        return (loss.value.item, model.arena.gradients.array)
      }
      let expected = run(.none)
      XCTAssertGreaterThan(expected.gradients.map(abs).max() ?? 0, 1e-3)
      for recompute in Recompute.allCases {
        let found = run(recompute)
        XCTAssertEqual(found.loss, expected.loss, "\(recompute) on \(threads) threads")
        XCTAssertEqual(found.gradients, expected.gradients, "\(recompute) on \(threads) threads")
      }
    }
  }

  /// Every block more keeps what the documentation of `Recompute` says: counted, for both kinds of tokens.
  func testABlockKeepsWhatItIsSaidTo() {
    let (tokens, width) = (17, 32)
    let batch = images.shape[0]
    func bytes(_ shapes: [Shape]) -> Int {
      let before = StoragePool.bytesInUse
      let tensors = shapes.map { Tensor(uninitialized: $0) }
      return withExtendedLifetime(tensors) { StoragePool.bytesInUse - before }
    }
    let sum: Shape = [batch, tokens, width]
    let statistics: [Shape] = [[batch * tokens], [batch * tokens]]
    let logSums: Shape = [batch, 2, tokens]
    let attention = [sum] + statistics + [logSums, sum, sum] + statistics + [[batch, tokens, 4 * width]]
    let expected: [Recompute: Int] = [
      .none: bytes(attention + [[batch, tokens, 3 * width]]), .attention: bytes(attention), .block: bytes([sum]),
    ]
    for recompute in Recompute.allCases {
      let live = [2, 3].map { depth -> Int in
        let model = Model(recompute, depth: depth)
        let before = StoragePool.bytesInUse
        let result = mean(model.vit(images))
        return withExtendedLifetime(result) { StoragePool.bytesInUse - before }
      }
      XCTAssertEqual(live[1] - live[0], expected[recompute], "\(recompute)")
    }
  }

  func testTheDecoderKeepsLessToo() {
    let live = Recompute.allCases.map { recompute -> Int in
      let model = Model(recompute)
      let before = StoragePool.bytesInUse
      let loss = model.loss(images)
      return withExtendedLifetime(loss) { StoragePool.bytesInUse - before }
    }
    XCTAssertLessThan(live[1], live[0])
    XCTAssertLessThan(live[2], live[1])
  }

  func testBackwardReturnsEverything() {
    for recompute in Recompute.allCases {
      let model = Model(recompute)
      let before = StoragePool.bytesInUse
      let loss = model.loss(images)
      loss.backward()
      let live = withExtendedLifetime(loss) { StoragePool.bytesInUse - before }
      XCTAssertEqual(live, 256, "\(recompute): the loss alone is left")
    }
  }
}
