import Layers
import Tensors
import TestKit
import XCTest

final class PatchesTests: XCTestCase {
  private let images = Tensor((0..<(2 * 3 * 6 * 6)).map(Float.init), [2, 3, 6, 6])

  func testOrderOfTheEmbeddingIsChannelRowColumn() {
    let patches = patchify(images, patch: 2, order: .channelRowColumn)
    XCTAssertEqual(patches.shape.dims, [2, 9, 12])
    // patch 4 of image 0: rows 2 and 3, columns 2 and 3
    XCTAssertEqual(
      Array(patches.array[(4 * 12)..<(5 * 12)]), [14, 15, 20, 21, 50, 51, 56, 57, 86, 87, 92, 93])
  }

  func testOrderOfTheTargetsIsChannelFastest() {
    let patches = patchify(images, patch: 2, order: .rowColumnChannel)
    XCTAssertEqual(
      Array(patches.array[(4 * 12)..<(5 * 12)]), [14, 50, 86, 15, 51, 87, 20, 56, 92, 21, 57, 93])
  }

  func testUnpatchifyInverts() {
    for order in [PatchOrder.channelRowColumn, .rowColumnChannel] {
      let patches = patchify(images, patch: 3, order: order)
      XCTAssertEqual(unpatchify(patches, channels: 3, side: 6, patch: 3, order: order).array, images.array)
    }
  }

  func testSelectedPatches() {
    let all = patchify(images, patch: 2, order: .channelRowColumn).array
    let some = patchify(images, patch: 2, order: .channelRowColumn, indices: [8, 0, 3, 3])
    XCTAssertEqual(some.shape.dims, [2, 2, 12])
    let rows: [Int] = [8, 0, 9 + 3, 9 + 3]
    var expected: [Float] = []
    for row in rows { expected += all[(row * 12)..<(row * 12 + 12)] }
    XCTAssertEqual(some.array, expected)
  }

  func testTargetsHaveMeanZeroAndUnbiasedVarianceOne() {
    let textured = Tensor(ExactRandom.floats(3 * 8 * 8, seed: 3), [1, 3, 8, 8])
    let targets = normalizedPatchTargets(textured, patch: 4)
    XCTAssertEqual(targets.shape.dims, [1, 4, 48])
    for row in 0..<4 {
      let values = targets.array[(row * 48)..<((row + 1) * 48)].map(Double.init)
      XCTAssertEqual(values.reduce(0, +) / 48, 0, accuracy: 1e-6)
      XCTAssertEqual(values.reduce(0) { $0 + $1 * $1 } / 47, 1, accuracy: 1e-4)
    }
    let flat = normalizedPatchTargets(Tensor(repeating: 3, [1, 3, 8, 8]), patch: 4)
    XCTAssertTrue(flat.array.allSatisfy { $0 == 0 })
  }
}
