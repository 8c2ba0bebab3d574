import Autodiff
import Layers
import Tensors
import TestKit
import XCTest

final class MaskTests: XCTestCase {
  private func draw(_ images: [Int], view: Int = 0, epoch: Int = 0, tokens: Int = 196, ratio: Double = 0.75) -> Mask {
    Mask.random(tokens: tokens, ratio: ratio, images: images, view: view, epoch: epoch, seed: 11)
  }

  func testInvariant01MaskRemoves147AndRestores() {
    let mask = draw([5, 9, 1_281_166])
    XCTAssertEqual(mask.keep, 49)
    for image in 0..<3 {
      let removed = mask.removed[(image * 196)..<((image + 1) * 196)]
      XCTAssertEqual(removed.reduce(0, +), 147)
      let shuffle = mask.shuffle[(image * 196)..<((image + 1) * 196)].map(Int.init)
      let restore = mask.restore[(image * 196)..<((image + 1) * 196)].map(Int.init)
      XCTAssertEqual(restore.map { shuffle[$0] }, Array(0..<196))
      XCTAssertEqual(mask.visible[(image * 49)..<((image + 1) * 49)].map(Int.init), Array(shuffle[0..<49]))
      for token in shuffle[0..<49] { XCTAssertEqual(mask.removed[image * 196 + token], 0) }
    }
  }

  func testMaskIsKeyedByImageViewAndEpoch() {
    let together = draw([5, 9])
    XCTAssertEqual(together.shuffle, draw([5]).shuffle + draw([9]).shuffle)
    XCTAssertNotEqual(draw([5]).shuffle, draw([9]).shuffle)
    XCTAssertNotEqual(draw([5]).shuffle, draw([5], view: 1).shuffle)
    XCTAssertNotEqual(draw([5]).shuffle, draw([5], epoch: 1).shuffle)
  }

  func testMaskIsUniform() {
    let mask = draw(Array(0..<2000), tokens: 16)
    var kept = [Int](repeating: 0, count: 16)
    for token in mask.visible { kept[Int(token)] += 1 }
    for count in kept { XCTAssertEqual(Double(count), 500, accuracy: 100) }
  }

  func testKeptCountsOfTheSpecs() {
    XCTAssertEqual(Mask.kept(of: 196, ratio: 0.75), 49)
    XCTAssertEqual(Mask.kept(of: 256, ratio: 0.75), 64)
    XCTAssertEqual(Mask.kept(of: 196, ratio: 0.55), 88)
    XCTAssertEqual(Mask.kept(of: 196, ratio: 0), 196)
  }

  func testInvariant01RemovedPixelsDoNotReachTheEncoder() {
    let builder = ModelBuilder(seed: 1)
    let vit = ViT(ViTConfiguration(width: 16, depth: 2, heads: 2, patch: 4, imgSize: 16), builder)
    _ = builder.build()
    let pixels = ExactRandom.floats(2 * 3 * 16 * 16, seed: 4)
    let mask = draw([1, 2], tokens: 16)
    let clean = Tensor(pixels, [2, 3, 16, 16])
    let patches = patchify(clean, patch: 4, order: .channelRowColumn)  // [2, 16, 48]
    func changing(where wanted: Float) -> Tensor {
      let changed = patches.copy()
      for row in 0..<32 where mask.removed[row] == wanted {
        changed.rows(row / 16..<(row / 16 + 1)).pointer[row % 16 * 48] += 100
      }
      return unpatchify(changed, channels: 3, side: 16, patch: 4, order: .channelRowColumn)
    }
    let reference = vit(clean, keep: mask).value.array
    XCTAssertEqual(vit(changing(where: 1), keep: mask).value.array, reference)
    XCTAssertNotEqual(vit(changing(where: 0), keep: mask).value.array, reference, "the comparison can fail")
  }

  func testInvariant01VisiblePredictionsHaveNoGradient() throws {
    let mask = draw([1, 2], tokens: 16)
    let (prediction, gradient) = Variable.leaf(Tensor(ExactRandom.floats(2 * 16 * 12, seed: 1), [2, 16, 12]))
    let target = Tensor(ExactRandom.floats(2 * 16 * 12, seed: 2), [2, 16, 12])
    maskedPatchLoss(prediction, target: target, mask: mask.removed).backward()
    let values = try XCTUnwrap(gradient()).array
    for row in 0..<32 {
      let part = values[(row * 12)..<((row + 1) * 12)]
      XCTAssertEqual(part.contains { $0 != 0 }, mask.removed[row] == 1)
    }
  }

  func testInvariant04OrderOfVisibleTokens() {
    let builder = ModelBuilder(seed: 1)
    let vit = ViT(ViTConfiguration(width: 16, depth: 2, heads: 2, patch: 4, imgSize: 16), builder)
    _ = builder.build()
    let images = Tensor(ExactRandom.floats(3 * 16 * 16, seed: 4), [1, 3, 16, 16])
    let mask = draw([1], tokens: 16)
    let order = [3, 0, 2, 1]
    let turned = Mask(
      shuffle: order.map { mask.shuffle[$0] } + mask.shuffle[4...], tokens: 16, keep: 4)
    let a = vit(images, keep: mask).value.array
    let b = vit(images, keep: turned).value.array
    func row(_ values: [Float], _ index: Int) -> [Float] { Array(values[(index * 16)..<((index + 1) * 16)]) }
    expectClose(row(a, 0), row(b, 0), relative: 1e-5, absolute: 1e-5, "class token")
    for (place, source) in order.enumerated() {
      expectClose(row(b, 1 + place), row(a, 1 + source), relative: 1e-5, absolute: 1e-5, "patch \(source)")
    }
    XCTAssertFalse(areClose(row(b, 1), row(a, 1), relative: 1e-5, absolute: 1e-5), "the comparison can fail")
  }

  func testJoinedMasks() {
    let (a, b) = (draw([1, 2], tokens: 16), draw([1, 2], view: 1, tokens: 16))
    let both = Mask.joined([a, b])
    XCTAssertEqual(both.images, 4)
    XCTAssertEqual(both.visible, a.visible + b.visible)
    XCTAssertEqual(both.removed, a.removed + b.removed)
  }
}
