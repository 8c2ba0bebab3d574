import Autodiff
import Basics
import Layers
import Methods
import TestKit
import Tensors
import XCTest

final class MAETests: XCTestCase {
  /// The loss of a batch by the plain transcription, with the program's weights and recorded masks.
  private func plainLoss(
    _ run: TinyRun, _ images: [Tensor], _ draws: DrawRecorder, normalizes: Bool = true,
    moved: (String, Int) -> Double = { _, _ in 0 }
  ) throws -> Double {
    var parameters: [String: [Double]] = [:]
    for parameter in run.arena.parameters {
      parameters[parameter.name] = parameter.value.array.enumerated().map {
        Double($1) + moved(parameter.name, $0)
      }
    }
    let plain = PlainMAE(
      parameters: parameters, side: 16, patch: 4, keep: 4, heads: 2, decoderHeads: 2, normalizesTargets: normalizes)
    var rows: [[Double]] = []
    var orders: [[Int]] = []
    for (view, tensor) in images.enumerated() {
      let entry = try XCTUnwrap(draws.entries.first { $0.name == "mask_order/\(view)" })
      guard case .ints(let order) = entry.values else { throw Failure(.internalError, "masks are whole numbers") }
      let pixels = tensor.array.map(Double.init)
      for image in 0..<tensor.shape[0] {
        rows.append(Array(pixels[(image * 768)..<((image + 1) * 768)]))
        orders.append(order[(image * 16)..<((image + 1) * 16)].map(Int.init))
      }
    }
    return plain.loss(rows, orders: orders)
  }

  func testLossEqualsThePlainTranscription() throws {
    for (settings, normalizes) in [("", true), ("mae: {norm_pix_loss: false}", false)] {
      let run = try TinyRun("mae", "augment: {views: 2}\n\(settings)")
      let draws = DrawRecorder()
      let batch = run.batch([3, 8])
      let report = try run.method.loss(batch, at: run.step(0, draws))
      let expected = try plainLoss(run, batch.views, draws, normalizes: normalizes)
      XCTAssertEqual(Double(report.total.value.item), expected, accuracy: 1e-5 * expected)
      XCTAssertEqual(report.parts.map(\.name), ["reconstruction"])
      XCTAssertEqual(report.parts[0].value, expected, accuracy: 1e-5 * expected)
      let wrong = try plainLoss(run, batch.views, draws, normalizes: !normalizes)
      XCTAssertGreaterThan(abs(Double(report.total.value.item) - wrong), 1e-3, "the comparison can fail")
    }
  }

  func testLossAndGradientsHaveTheSameBitsForEveryNumberOfThreads() throws {
    try ProductEngine.use(.native)
    addTeardownBlock {
      ThreadTeam.configure(threads: 1)
      try ProductEngine.use(.standard(for: .chosen))
    }
    func bits(threads: Int) throws -> [Float] {
      ThreadTeam.configure(threads: threads)
      let run = try TinyRun("mae", "augment: {views: 2}")
      run.arena.zeroGradients()
      let loss = try run.method.loss(run.batch(Array(0..<21)), at: run.step()).total
      loss.backward()
      return [loss.value.item] + (0..<run.arena.count).map { run.arena.gradients.pointer[$0] }
    }
    let one = try bits(threads: 1)
    for threads in [2, 3, 5] { XCTAssertEqual(try bits(threads: threads), one, "\(threads) threads") }
  }

  func testGradientsEqualDifferencesOfThePlainTranscription() throws {
    let run = try TinyRun()
    let draws = DrawRecorder()
    let batch = run.batch([3, 8])
    run.arena.zeroGradients()
    try run.method.loss(batch, at: run.step(0, draws)).total.backward()
    // One random direction over all parameters, then one in each single tensor of a few.
    let some = ["cls_token", "patch_embed.proj.weight", "blocks.1.attn.qkv.bias", "decoder.mask_token", "norm.weight"]
    for chosen in [nil] + some.map(Optional.some) {
      var direction: [String: [Float]] = [:]
      var slope = 0.0
      for (place, parameter) in run.arena.parameters.enumerated() where chosen == nil || parameter.name == chosen {
        let values = ExactRandom.floats(parameter.shape.count, seed: UInt64(place))
        direction[parameter.name] = values
        slope += zip(values, parameter.gradient.array).reduce(0) { $0 + Double($1.0) * Double($1.1) }
      }
      let h = 1e-5
      func loss(_ sign: Double) throws -> Double {
        try plainLoss(run, batch.views, draws) { sign * h * Double(direction[$0]?[$1] ?? 0) }
      }
      let expected = try (loss(1) - loss(-1)) / (2 * h)
      XCTAssertEqual(slope, expected, accuracy: 1e-3 * abs(expected) + 1e-6, chosen ?? "all parameters")
    }
  }

  func testDrawsAreRecordedUnderTheirSpecNames() throws {
    let run = try TinyRun("mae", "augment: {views: 2}")
    let draws = DrawRecorder()
    _ = try run.method.loss(run.batch([3, 8, 9]), at: run.step(0, draws))
    XCTAssertEqual(draws.entries.map(\.name), ["mask_order/0", "mask_order/1"])
    XCTAssertEqual(draws.entries.map(\.shape), [[3, 16], [3, 16]])
    XCTAssertNotEqual(draws.entries[0].values, draws.entries[1].values)
  }

  func testTheLossOfABatchIsTheMeanOfItsParts() throws {
    let run = try TinyRun("mae", "augment: {views: 2}")
    func loss(_ indices: [Int]) throws -> Double {
      Double(try run.method.loss(run.batch(indices), at: run.step()).total.value.item)
    }
    let whole = try loss([1, 2, 3, 4])
    XCTAssertEqual(whole, try (loss([1, 2]) + loss([3, 4])) / 2, accuracy: 1e-5)
    XCTAssertEqual(whole, try (loss([1]) + 3 * loss([2, 3, 4])) / 4, accuracy: 1e-5)
  }

  func testInvariant03ZeroPrediction() throws {
    let run = try TinyRun(
      "mae", model: "model: {arch: vit_tiny_patch16_224, depth: 1, decoder: {dim: 8, depth: 1, heads: 2}}")
    run.arena["decoder.pred.weight"]?.value.fill(0)
    run.arena["decoder.pred.bias"]?.value.fill(0)
    let textured = try run.method.loss(run.batch([1, 2]), at: run.step()).total.value.item
    XCTAssertEqual(Double(textured), 767.0 / 768, accuracy: 1e-5)
    let constant = try run.method.loss(run.batch([1, 2], textured: false), at: run.step()).total.value.item
    XCTAssertEqual(constant, 0, accuracy: 1e-6)
  }

  func testInvariant03FreshLoss() throws {
    // The widths decide, not the depths: 767/768 + 512 * 2 / (512 + 768). Two blocks each keep the test quick.
    for arch in ["vit_tiny_patch16_224", "vit_small_patch16_224"] {
      let run = try TinyRun("mae", model: "model: {arch: \(arch), depth: 2, decoder: {depth: 2}}")
      let loss = try withoutGradient { try run.method.loss(run.batch([7]), at: run.step()) }.total.value.item
      XCTAssertEqual(Double(loss), 1.80, accuracy: 0.1, arch)
    }
  }

  func testEncodeUsesTheTokenOfTheSpec() throws {
    let small = try TinyRun()
    let batch = small.batch([1, 2])
    let features = small.method.encode(batch.views[0])
    XCTAssertEqual(features.shape.dims, [2, 16])
    let cls = try TinyRun("mae", "mae: {pool: cls}")
    let mean = try TinyRun("mae", "mae: {pool: mean_patch}")
    XCTAssertEqual(features.array, mean.method.encode(batch.views[0]).array)
    XCTAssertNotEqual(features.array, cls.method.encode(batch.views[0]).array)
  }

  func testPictures() throws {
    let run = try TinyRun()
    let batch = run.batch([3, 8])
    let rows = try run.method.pictures(batch, count: 9, at: run.step())
    XCTAssertEqual(rows.map(\.image), [3, 8])
    XCTAssertEqual(
      rows[0].pictures.map(\.caption), ["input", "masked input", "prediction", "prediction, de-normalised"])
    let draws = DrawRecorder()
    _ = try run.method.loss(batch, at: run.step(0, draws))
    guard case .ints(let order) = draws.entries[0].values else { return XCTFail("masks are whole numbers") }
    let visible = Set(order[0..<4].map(Int.init))
    for picture in rows[0].pictures {
      XCTAssertEqual([picture.width, picture.height, picture.bytes.count], [16, 16, 768])
    }
    let input = rows[0].pictures[0].bytes
    for y in 0..<16 {
      for x in 0..<16 {
        let place = 3 * (16 * y + x)
        for picture in rows[0].pictures.dropFirst() where visible.contains(y / 4 * 4 + x / 4) {
          XCTAssertEqual(picture.bytes[place], input[place], "visible patches are pasted: \(picture.caption)")
        }
        if !visible.contains(y / 4 * 4 + x / 4) {
          // The mean colour: 255 * 0.485.
          XCTAssertEqual(rows[0].pictures[1].bytes[place], 124)
        }
      }
    }
    let plain = try TinyRun("mae", "mae: {norm_pix_loss: false}")
    XCTAssertEqual(try plain.method.pictures(batch, count: 1, at: run.step())[0].pictures.count, 3)
  }

  func testADenormalisedPredictionUsesEachPatchsOwnMean() throws {
    let run = try TinyRun()
    let batch = run.batch([3])
    run.arena["decoder.pred.weight"]?.value.fill(0)
    let row = try run.method.pictures(batch, count: 1, at: run.step())[0]
    XCTAssertNotEqual(row.pictures[3].bytes, row.pictures[0].bytes)
    // A zero prediction, de-normalised, is the mean of each patch; over a flat image that is the image.
    let flat = try run.method.pictures(run.batch([1], textured: false), count: 1, at: run.step())[0]
    XCTAssertEqual(flat.pictures[3].bytes, flat.pictures[0].bytes)
  }

  /// Every value of the setting reaches the blocks, and none changes a bit of the gradients.
  func testRecomputationKeepsLessAndChangesNothing() throws {
    var live: [Int] = []
    var gradients: [[Float]] = []
    for recompute in Recompute.allCases {
      let run = try TinyRun("mae", "augment: {views: 2}", recompute: recompute.rawValue)
      let batch = run.batch([3, 8, 9])
      run.arena.zeroGradients()
      let before = StoragePool.bytesInUse
      let loss = try run.method.loss(batch, at: run.step()).total
      live.append(StoragePool.bytesInUse - before)
      loss.backward()
      gradients.append(run.arena.gradients.array)
    }
    XCTAssertEqual(live, live.sorted(by: >))
    XCTAssertEqual(Set(live).count, live.count)
    XCTAssertEqual(gradients, gradients.map { _ in gradients[0] })
  }

  func testCost() throws {
    // The anchors of whole models stand in `SizesTests`.
    let run = try TinyRun()
    let (vit, decoder) = (run.context.vit, run.context.decoder)
    XCTAssertEqual(
      run.method.flopsPerImage, (vit.cost(visible: 4) + decoder.cost(of: vit, visible: 4)).trainingFlops)
    let two = try TinyRun("mae", "augment: {views: 2}")
    XCTAssertEqual(two.method.flopsPerImage, 2 * run.method.flopsPerImage)
  }

  func testWrongSettingsAreNamed() {
    func message(_ body: () throws -> TinyRun) -> String {
      do {
        _ = try body()
        return "no error"
      } catch let failure as Failure {
        XCTAssertEqual(failure.code, .badConfig)
        return failure.description
      } catch { return "\(error)" }
    }
    XCTAssertTrue(message { try TinyRun("mae", "mae: {mask_ratio: 0.97}") }.contains("mae.mask_ratio"))
    XCTAssertTrue(message { try TinyRun("mae", "mae: {mask_ration: 0.5}") }.contains("mask_ratio"))
    XCTAssertTrue(message { try TinyRun("mae", "mae: {pool: max}") }.contains("mean_patch"))
    XCTAssertTrue(
      message { try TinyRun("mae", model: "model: {arch: vit_smal_patch16_224}") }.contains("vit_small_patch16_224"))
    XCTAssertTrue(message { try TinyRun("mae", model: "model: {heads: 5}") }.contains("heads"))
    XCTAssertTrue(message { try TinyRun("mae", model: "model: {decoder: {heads: 5}}") }.contains("decoder"))
    XCTAssertTrue(message { try TinyRun("mae", model: "model: {in_chans: 4}") }.contains("in_chans"))
  }
}
