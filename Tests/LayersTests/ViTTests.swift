import Autodiff
import Layers
import Tensors
import TestKit
import XCTest

final class ViTTests: XCTestCase {
  private let configuration = ViTConfiguration(width: 16, depth: 2, heads: 2, patch: 4, imgSize: 16)

  /// The golden's model with its weights, and its images.
  private func goldenModel() throws -> (vit: ViT, decoder: MAEDecoder, arena: ParameterArena, images: Tensor) {
    let golden = Golden.load("mae")
    let builder = ModelBuilder(seed: 0)
    let vit = ViT(configuration, builder)
    let decoder = MAEDecoder(DecoderConfiguration(width: 8, depth: 1, heads: 2), of: configuration, builder)
    let arena = builder.build()
    let names = golden.text("parameters").split(separator: ",").map(String.init)
    XCTAssertEqual(Set(names), Set(arena.parameters.map(\.name)))
    for (place, name) in names.enumerated() {
      let parameter = try XCTUnwrap(arena[name], name)
      let isScale = name.contains("norm") && name.hasSuffix("weight")
      for (i, value) in goldenSequence(parameter.shape.count, seed: place + 1).enumerated() {
        parameter.value.pointer[i] = Float(value * (isScale ? 0.1 : 0.25) + (isScale ? 1 : 0))
      }
    }
    let images = goldenSequence(3 * 3 * 16 * 16, seed: 1000).map { Float(1.5 * $0) }
    return (vit, decoder, arena, Tensor(images, [3, 3, 16, 16]))
  }

  /// The sequence of `tools/golden/mae.py`.
  private func goldenSequence(_ count: Int, seed: Int) -> [Double] {
    var state = UInt32(truncatingIfNeeded: seed) &* 2_654_435_761 &+ 12345
    return (0..<count).map { _ in
      state = state &* 1_664_525 &+ 1_013_904_223
      return Double(state >> 8) / 8_388_608 - 1
    }
  }

  func testForwardEqualsPyTorch() throws {
    let model = try goldenModel()
    let tokens = model.vit(model.images).value
    let expected = Golden.load("mae")
    XCTAssertEqual(tokens.shape.dims, expected.shape("tokens"))
    expectClose(tokens.array, expected.floats("tokens"), relative: 1e-4, absolute: 1e-5, "tokens")
    XCTAssertLessThan(relativeError(tokens.array, expected.floats("tokens")), 1e-5)
  }

  func testMAELossAndEveryGradientEqualPyTorch() throws {
    let model = try goldenModel()
    let golden = Golden.load("mae")
    let mask = Mask(shuffle: golden.ints("shuffle").map(Int32.init), tokens: 16, keep: 4)
    let predicted = model.decoder(model.vit(model.images, keep: mask), mask)
    let loss = maskedPatchLoss(
      predicted, target: normalizedPatchTargets(model.images, patch: 4), mask: mask.removed)
    XCTAssertEqual(Double(loss.value.item), golden.number("loss"), accuracy: 1e-5)
    loss.backward()
    for parameter in model.arena.parameters {
      let expected = golden.floats("gradient/\(parameter.name)")
      XCTAssertLessThan(relativeError(parameter.gradient.array, expected), 1e-4, parameter.name)
    }
    let wrong = try XCTUnwrap(model.arena["cls_token"]).gradient.array.map { $0 * 1.001 }
    XCTAssertGreaterThan(relativeError(wrong, golden.floats("gradient/cls_token")), 1e-4, "the comparison can fail")
  }

  func testPredictingRemovedPatchesAloneChangesNeitherLossNorGradients() throws {
    let golden = Golden.load("mae")
    let mask = Mask(shuffle: golden.ints("shuffle").map(Int32.init), tokens: 16, keep: 4)
    let (whole, part) = (try goldenModel(), try goldenModel())
    let all = maskedPatchLoss(
      whole.decoder(whole.vit(whole.images, keep: mask), mask),
      target: normalizedPatchTargets(whole.images, patch: 4), mask: mask.removed)
    let removed = maskedPatchLoss(
      part.decoder.removedPatches(part.vit(part.images, keep: mask), mask),
      target: normalizedPatchTargets(part.images, patch: 4, indices: mask.removedIndices),
      mask: [Float](repeating: 1, count: mask.images * mask.removedCount))
    XCTAssertEqual(removed.value.item, all.value.item, accuracy: 1e-6 * all.value.item)
    all.backward()
    removed.backward()
    for (a, b) in zip(part.arena.parameters, whole.arena.parameters) {
      XCTAssertLessThan(relativeError(a.gradient.array, b.gradient.array), 1e-5, a.name)
    }
  }

  func testGradientsAccumulate() throws {
    let model = try goldenModel()
    func backward() { mean(model.vit(model.images)).backward() }
    backward()
    let once = model.arena.gradients.array
    backward()
    expectClose(model.arena.gradients.array, once.map { 2 * $0 }, relative: 1e-5, absolute: 1e-7)
  }

  func testTapsReturnInnerLayers() throws {
    let model = try goldenModel()
    let all = model.vit.encoded(model.images, keep: nil, taps: [0, 1, 2])
    XCTAssertEqual(all.taps.map(\.shape.dims), [[3, 17, 16], [3, 17, 16], [3, 17, 16]])
    XCTAssertEqual(all.last.value.array, model.vit(model.images).value.array)
    // The final norm of the last tap is the output.
    let norm = try (XCTUnwrap(model.arena["norm.weight"]), XCTUnwrap(model.arena["norm.bias"]))
    let again = residualLayerNorm(all.taps[2], branch: nil, branchBias: nil, weight: norm.0, bias: norm.1).normalized
    expectClose(again.value.array, all.last.value.array, relative: 1e-5, absolute: 1e-6)
    XCTAssertNotEqual(all.taps[0].value.array, all.taps[1].value.array)
  }

  func testTwoClassTokens() {
    let builder = ModelBuilder(seed: 0)
    let vit = ViT(configuration, builder, classTokens: 2)
    let arena = builder.build()
    XCTAssertNotNil(arena["cls_token_1"])
    let images = Tensor(ExactRandom.floats(3 * 16 * 16, seed: 1), [1, 3, 16, 16])
    XCTAssertEqual(vit(images).shape.dims, [1, 18, 16])
  }

  func testFeatures() throws {
    let model = try goldenModel()
    let tokens = model.vit(model.images).value.array
    let cls = model.vit.features(model.images, pool: .classToken)
    let patches = model.vit.features(model.images, pool: .meanPatch)
    XCTAssertEqual(cls.shape.dims, [3, 16])
    for image in 0..<3 {
      let rows = (0..<17).map { Array(tokens[((image * 17 + $0) * 16)..<((image * 17 + $0 + 1) * 16)]) }
      XCTAssertEqual(Array(cls.array[(image * 16)..<(image * 16 + 16)]), rows[0])
      let mean = (0..<16).map { i in rows.dropFirst().reduce(Float(0)) { $0 + $1[i] } / 16 }
      expectClose(
        Array(patches.array[(image * 16)..<(image * 16 + 16)]), mean, relative: 1e-5, absolute: 1e-5, "mean patch")
    }
  }
}
