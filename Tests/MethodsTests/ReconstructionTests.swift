import Layers
import Pipeline
import Tensors
import TestKit
import XCTest

@testable import Methods

final class ReconstructionTests: XCTestCase {
  private let images = Tensor((0..<2 * 3 * 64).map { Float(($0 * 37) % 101) / 50 - 1 }, [2, 3, 8, 8])
  private let view = ViewSpec(size: 8, cropScale: 1...1)

  private func mask(keep: Int) -> Mask { Mask(shuffle: [2, 0, 3, 1, 1, 3, 0, 2], tokens: 4, keep: keep) }

  func testAMaskThatRemovesNothingPastesTheInputExactly() {
    let canvas = Reconstruction(images, mask: mask(keep: 4), patch: 4, view: view)
    let wild = Tensor(repeating: 7, [2, 4, 48])
    for scale in [Reconstruction.Scale.nothing, .visiblePatches, .ownPatch] {
      XCTAssertEqual(canvas.pasted(wild, scaledBy: scale).array, images.array)
    }
    XCTAssertEqual(canvas.masked().array, images.array)
  }

  func testNormalisedTargetsDenormaliseToTheInput() {
    let canvas = Reconstruction(images, mask: mask(keep: 1), patch: 4, view: view)
    let pasted = canvas.pasted(normalizedPatchTargets(images, patch: 4), scaledBy: .ownPatch)
    expectClose(pasted.array, images.array, relative: 0, absolute: 1e-5, "normalise and back")
    let other = canvas.pasted(normalizedPatchTargets(images, patch: 4), scaledBy: .visiblePatches)
    XCTAssertFalse(areClose(other.array, images.array, relative: 0, absolute: 1e-3), "the statistics matter")
  }

  func testRemovedPatchesAreReplacedAndVisibleOnesKept() {
    let canvas = Reconstruction(images, mask: mask(keep: 2), patch: 4, view: view)
    let pasted = canvas.pasted(Tensor(repeating: 5, [2, 4, 48]), scaledBy: .nothing)
    for (image, visible) in [[2, 0], [1, 3]].enumerated() {
      for y in 0..<8 {
        for x in 0..<8 {
          let place = image * 192 + y * 8 + x
          let isVisible = visible.contains(y / 4 * 2 + x / 4)
          XCTAssertEqual(pasted.pointer[place], isVisible ? images.pointer[place] : 5)
        }
      }
    }
  }
}
