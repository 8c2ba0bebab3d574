import Basics
import Features
import Foundation
import Images
import Messaging
import Pipeline
import Settings
import Tensors
import TestKit
import XCTest

@testable import Evaluation

/// Patch tokens and masks of some images, whole on every rank.
struct DenseSet {
  var tokens: [Float]  // [images, grid * grid, width]
  var masks: [LabelMask]
  let grid: Int

  var width: Int { tokens.count / masks.count / (grid * grid) }

  init(_ tokens: [Float], _ masks: [LabelMask], grid: Int) {
    (self.tokens, self.masks, self.grid) = (tokens, masks, grid)
  }

  /// A case of `Tests/Goldens/dense.json`.
  init(_ golden: Golden, _ name: String) throws {
    let shape = golden.shape("\(name).tokens")
    grid = Int(Double(shape[1]).squareRoot())
    let size = grid * Int(golden.number("\(name).side"))
    let bytes = [UInt8](try XCTUnwrap(Data(base64Encoded: golden.text("\(name).masks"))))
    tokens = golden.floats("\(name).tokens")
    masks = (0..<shape[0]).map {
      LabelMask(width: size, height: size, classes: Array(bytes[($0 * size * size)..<(($0 + 1) * size * size)]))
    }
  }

  /// Generated scenes with random tokens.
  static func scenes(_ count: Int, width: Int = 6, seed: UInt64 = 1) -> DenseSet {
    let shapes = TinyShapes(count: count, split: .scenesVal)
    return DenseSet(
      ExactRandom.floats(count * 64 * width, seed: seed), (0..<count).map { shapes.mask($0) }, grid: 8)
  }

  /// Tokens that are 1 at the label of their patch and 0 elsewhere.
  func withOracleTokens(_ classes: Int = 16) -> DenseSet {
    var tokens = [Float](repeating: 0, count: masks.count * grid * grid * classes)
    for (i, mask) in masks.enumerated() {
      for (patch, label) in PatchLabels(mask, grid: grid).labels.enumerated() where label >= 0 {
        tokens[(i * grid * grid + patch) * classes + Int(label)] = 1
      }
    }
    return DenseSet(tokens, masks, grid: grid)
  }

  /// The same images in the order of `order`.
  func reordered(_ order: [Int]) -> DenseSet {
    let stride = tokens.count / masks.count
    return DenseSet(
      order.flatMap { tokens[($0 * stride)..<(($0 + 1) * stride)] }, order.map { masks[$0] }, grid: grid)
  }

  func context(_ communicator: Communicator, seed: UInt64 = 0) -> EvaluationContext {
    let labels = [Int32](repeating: -1, count: masks.count)
    let rows = Tensor(tokens, Shape([masks.count, grid * grid, width]))
    let context = EvaluationContext(
      [.val: FeatureSet(dealing: rows, labels: labels, to: communicator)], seed: seed, communicator: communicator)
    context.masks[.val] = SplitMasks(masks)
    return context
  }

  /// What a protocol says about the set with some settings.
  func report<Protocol: Evaluator>(
    _ type: Protocol.Type, _ settings: [String] = [], isTiny: Bool = false, seed: UInt64 = 0
  ) throws -> EvaluationReport {
    let section = try SettingsTree.load(overrides: settings, environment: [:]).section("")
    return try Protocol(section, isTiny: isTiny).evaluate(context(try sharedCommunicator(), seed: seed))
  }
}

/// The whole numbers of a report.
func counts(_ report: EvaluationReport) -> [String: Int] {
  Dictionary(
    uniqueKeysWithValues: report.metrics.compactMap { metric in metric.value.intValue.map { (metric.name, $0) } })
}

/// Fails unless making a protocol and running it ends with `code` and the words.
func expectRefusal<Protocol: Evaluator>(
  _ type: Protocol.Type, _ set: DenseSet, _ settings: [String] = [], _ code: ExitCode, _ words: String,
  file: StaticString = #filePath, line: UInt = #line
) {
  XCTAssertThrowsError(try set.report(type, settings), file: file, line: line) { error in
    XCTAssertEqual((error as? Failure)?.code, code, "\(error)", file: file, line: line)
    XCTAssertTrue("\(error)".contains(words), "\(error)", file: file, line: line)
  }
}
