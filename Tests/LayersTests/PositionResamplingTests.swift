import Autodiff
import Layers
import Tensors
import TestKit
import XCTest

final class PositionResamplingTests: XCTestCase {
  private let configuration = ViTConfiguration(width: 16, depth: 2, heads: 2, patch: 4, imgSize: 16)

  private func model(_ positions: PositionKind = .sinCos) -> (vit: ViT, arena: ParameterArena) {
    let builder = ModelBuilder(seed: 3)
    var sizes = configuration
    sizes.positions = positions
    let vit = ViT(sizes, builder)
    return (vit, builder.build())
  }

  private func images(_ side: Int) -> Tensor {
    Tensor(ExactRandom.floats(2 * 3 * side * side, seed: 5), [2, 3, side, side])
  }

  func testTablesEqualPyTorch() {
    let golden = Golden.load("positions")
    let width = Int(golden.number("width"))
    var cases = 0
    for key in golden.keys where key.hasSuffix("/table") {
      let sides = key.split(separator: "/").compactMap { Int($0) }
      let table = Tensor(golden.floats(key), [sides[0] * sides[0], width])
      let result = resampledPositions(table, from: sides[0], to: sides[1])
      XCTAssertEqual(result.shape, [sides[1] * sides[1], width])
      expectClose(
        result.array, golden.floats("\(sides[0])/\(sides[1])/resampled"), relative: 1e-6, absolute: 1e-6, key)
      cases += 1
    }
    XCTAssertEqual(cases, 6)
  }

  func testTheSameGridIsLeftAlone() {
    let table = Tensor(ExactRandom.floats(9 * 4, seed: 1), [9, 4])
    XCTAssertEqual(resampledPositions(table, from: 3, to: 3).pointer, table.pointer)
  }

  func testAConstantTableStaysConstant() {
    for value in resampledPositions(Tensor(repeating: 0.75, [25, 4]), from: 5, to: 7).array {
      XCTAssertEqual(value, 0.75, accuracy: 1e-6)
    }
  }

  func testAResizedNetworkUsesItsWeightsAtResampledPositions() {
    let (vit, arena) = model()
    let larger = vit.resized(to: 24)
    XCTAssertEqual(larger.configuration.imgSize, 24)
    XCTAssertEqual(larger.positions.array, resampledPositions(vit.positions, from: 4, to: 6).array)
    let before = larger(images(24)).value.array
    XCTAssertEqual(larger(images(24)).shape.dims, [2, 37, 16])
    for value in 0..<16 { arena["cls_token"]?.value.pointer[value] += 1 }
    XCTAssertNotEqual(larger(images(24)).value.array, before)
    XCTAssertEqual(vit.resized(to: 16)(images(16)).value.array, vit(images(16)).value.array)
    XCTAssertEqual(vit.placed(at: vit.positions)(images(16)).value.array, vit(images(16)).value.array)
  }

  func testStoredPositionsBeginAsTheTableAndChangeNoBit() throws {
    let (fixed, plain) = model()
    let (stored, arena) = model(.stored)
    let table = try XCTUnwrap(arena["pos_embed"])
    XCTAssertEqual(table.shape, [1, 16, 16])
    XCTAssertTrue(table.isFrozen)
    XCTAssertNil(plain["pos_embed"])
    XCTAssertEqual(plain.trainable.map(\.name), arena.trainable.map(\.name))
    XCTAssertEqual(stored(images(16)).value.array, fixed(images(16)).value.array)
    mean(stored(images(16))).backward()
    mean(fixed(images(16))).backward()
    XCTAssertEqual(arena.gradients.array, plain.gradients.array)
  }

  func testStoredPositionsAreThoseOfTheParameter() throws {
    let (vit, arena) = model(.stored)
    let table = try XCTUnwrap(arena["pos_embed"]).value
    let before = vit(images(16)).value.array
    table.assign(Tensor(ExactRandom.floats(table.count, seed: 9), table.shape))
    XCTAssertNotEqual(vit(images(16)).value.array, before)
    XCTAssertEqual(vit.positions.array, table.array)
    XCTAssertEqual(
      vit.resized(to: 8).positions.array, resampledPositions(table.reshaped([16, 16]), from: 4, to: 2).array)
  }
}
