import Basics
import Features
import Foundation
import Images
import Pipeline
import Settings
import Tensors
import TestKit
import XCTest

@testable import Evaluation

final class SplitMasksTests: XCTestCase {
  private func failure(_ code: ExitCode, _ words: String, line: UInt = #line, _ body: () throws -> Void) {
    XCTAssertThrowsError(try body(), line: line) { error in
      XCTAssertEqual((error as? Failure)?.code, code, "\(error)", line: line)
      XCTAssertTrue("\(error)".contains(words), "\(error)", line: line)
    }
  }

  func testAnEncoderSeesImagesAndMasksAlike() throws {
    let world = try sharedCommunicator()
    let splits = try DataSplits.open("synth:tinyshapes?n=6&size=16&split=scenes-val")
    let context = EvaluationContext(
      encoder: try smallEncoder(world), splits: splits, kind: FeatureKind(.patches([])), communicator: world)
    let masks = try context.masks(.val)
    XCTAssertEqual(masks.size, 16)
    let shapes = TinyShapes(count: 6, size: 16, split: .scenesVal)
    for i in 0..<6 { XCTAssertEqual(try masks.mask(i), shapes.mask(i)) }
    failure(.badData, "only 6 images") { _ = try masks.mask(6) }
    failure(.inputMissing, "no part 'train'") { _ = try context.masks(.train) }
    // Larger images: both are resized, then cut.
    let large = try DataSplits.open("synth:tinyshapes?n=6&size=40&split=scenes-val")
    let other = EvaluationContext(
      encoder: try smallEncoder(world), splits: large, kind: FeatureKind(.patches([])), communicator: world)
    let mask = TinyShapes(count: 6, size: 40, split: .scenesVal).mask(2)
    XCTAssertEqual(
      try other.masks(.val).mask(2), mask.seen(through: .evaluation(width: 40, height: 40, size: 16)))
  }

  func testBothProtocolsRunOnAnEncoderAndPackedMasksGiveTheSame() throws {
    let world = try sharedCommunicator()
    let encoder = try smallEncoder(world)
    let generated = try DataSplits.open("synth:tinyshapes?n=9&size=16&split=scenes-val")
    let root = try world.broadcast(world.isCoordinator ? temporaryDirectory("packed") + "/out" : "")
    try world.agreed { () throws(Failure) in
      if world.isCoordinator { try packAsFolder(try generated.source(.val), to: root) }
    }
    let packed = try DataSplits.open("\(root)/images")
    func context(_ splits: DataSplits, masks: String?) -> EvaluationContext {
      let context = EvaluationContext(
        encoder: encoder, splits: splits, kind: FeatureKind(.patches([])), communicator: world)
      context.maskRoot = masks
      return context
    }
    let settings = try SettingsTree.load(overrides: [], environment: [:]).section("")
    for type in [PromptSegmentation.self, SimilarityDistribution.self] as [any Evaluator.Type] {
      let protocolAtHand = try type.init(settings, isTiny: true)
      let exact = try protocolAtHand.evaluate(context(generated, masks: nil))
      XCTAssertEqual(try protocolAtHand.evaluate(context(packed, masks: "\(root)/masks")), exact)
      failure(.inputMissing, "the images have no masks") {
        _ = try protocolAtHand.evaluate(context(packed, masks: nil))
      }
      failure(.inputMissing, "scenes-val-000000.jpg has no mask") {
        _ = try protocolAtHand.evaluate(context(packed, masks: "\(root)/images"))
      }
    }
  }

  func testFeaturesAloneNeedMasksThatAreGiven() throws {
    let set = DenseSet.scenes(3)
    let context = set.context(try sharedCommunicator())
    XCTAssertEqual(try context.masks(.val).mask(2), set.masks[2])
    context.masks = [:]
    failure(.inputMissing, "there are no masks of the split 'val'") { _ = try context.masks(.val) }
    let vectors = FeatureSet(dealing: Tensor(zeros: [4, 6]), labels: [0, 1, 0, 1], to: try sharedCommunicator())
    let flat = EvaluationContext([.val: vectors], communicator: try sharedCommunicator())
    flat.masks[.val] = SplitMasks(set.masks)
    let section = try SettingsTree.load(overrides: [], environment: [:]).section("")
    failure(.badData, "--feature patches") {
      _ = try PromptSegmentation(section, isTiny: false).evaluate(flat)
    }
  }

  func testTheSizeOfImagesStandsInTheWordsOfTheirPreparation() {
    for view in [ImageView.evaluation, .training(pass: 3)] {
      for interpolation in Interpolation.allCases {
        let words = ImagePreparation(view, size: 96, interpolation: interpolation, seed: 5).description
        XCTAssertEqual(ImagePreparation.size(in: words), 96)
        XCTAssertEqual(ImagePreparation.interpolation(in: words), interpolation)
      }
    }
    for words in ["", "eval", "eval(x, bicubic)", "crop(96, bicubic)"] {
      XCTAssertNil(ImagePreparation.size(in: words), words)
      if words != "eval(x, bicubic)" { XCTAssertNil(ImagePreparation.interpolation(in: words), words) }
    }
  }
}
