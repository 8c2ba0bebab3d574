import Basics
import Evaluation
import Features
import Foundation
import Messaging
import Pipeline
import TestKit
import Tensors
import XCTest

final class StoredFeaturesTests: XCTestCase {
  private let kinds = [FeatureKind(.classToken(0)), FeatureKind(.patches([1, 2]))]
  private let address = "synth:tinyshapes?n=20&size=16"

  private func directory(_ world: Communicator) throws -> String {
    try world.broadcast(world.isCoordinator ? temporaryDirectory("stored") : "")
  }

  /// Writes what an encoder makes of both splits.
  private func embed(_ formats: [Split: String], _ kinds: [FeatureKind], _ world: Communicator) throws -> String {
    let root = try directory(world)
    let context = EvaluationContext(
      encoder: try smallEncoder(world), splits: try DataSplits.open(address), kind: nil, communicator: world)
    for (split, name) in formats.sorted(by: { $0.value < $1.value }) {
      let sets = try context.features(split, kinds: kinds)
      let manifest = FeatureManifest(origin: sets[0].origin, classNames: sets[0].classNames, count: sets[0].count)
      let shapes = sets.map { (name: $0.origin.feature, shape: $0.itemShape) }
      try FeatureFileWriter.write(
        "\(root)/\(name)", name.hasSuffix(".h5") ? .h5 : .npy, manifest, labels: sets[0].labels,
        indices: sets[0].indices, itemShapes: shapes, communicator: world
      ) { (writer) throws(Failure) in
        try world.agreed { () throws(Failure) in
          for set in sets { try writer.put(set.origin.feature, rows: set.range, set.rows) }
        }
      }
    }
    return root
  }

  func testStoredFeaturesAreWhatTheEncoderMakes() throws {
    let world = try sharedCommunicator()
    let splits = try DataSplits.open(address)
    let made = EvaluationContext(encoder: try smallEncoder(world), splits: splits, kind: nil, communicator: world)
    for formats in [[Split.train: "train.h5", .val: "val.h5"], [.train: "train", .val: "val"]] {
      let stored = try StoredFeatures(try embed(formats, kinds, world), communicator: world)
      let context = try EvaluationContext(stored: stored, splits: splits, kind: kinds[0], communicator: world)
      XCTAssertEqual(context.images, 20)
      for split in Split.allCases {
        XCTAssertEqual(
          try context.features(split).rows.array, try made.features(split, kinds: [kinds[0]])[0].rows.array)
        for (a, b) in zip(try context.features(split, kinds: kinds), try made.features(split, kinds: kinds)) {
          XCTAssertEqual(a.rows.array, b.rows.array)
          XCTAssertEqual(a.rows.shape, b.rows.shape)
          XCTAssertEqual(a.labels, b.labels)
          XCTAssertEqual(a.classNames, TinyShapes.classNames)
          XCTAssertEqual(a.origin.feature, b.origin.feature)
          XCTAssertEqual(a.origin.dataHash, b.origin.dataHash)
        }
      }
      XCTAssertThrowsError(try context.features(.train, pass: 0, .bicubic)) {
        XCTAssertEqual(($0 as? Failure)?.code, .inputMissing)
      }
    }
  }

  func testASingleFileIsOnePart() throws {
    let world = try sharedCommunicator()
    let root = try embed([.val: "some.h5"], [kinds[0]], world)
    let stored = try StoredFeatures("\(root)/some.h5", communicator: world)
    let context = try EvaluationContext(stored: stored, splits: nil, kind: nil, communicator: world)
    XCTAssertEqual(try context.features(.val).count, 20)
    XCTAssertEqual(try context.features(.val).origin.feature, "cls")
    XCTAssertThrowsError(try context.features(.train)) { XCTAssertEqual(($0 as? Failure)?.code, .inputMissing) }
  }

  func testFeaturesOfOtherImagesAreRefused() throws {
    let world = try sharedCommunicator()
    let stored = try StoredFeatures(
      try embed([.train: "train.h5", .val: "val.h5"], [kinds[0]], world), communicator: world)
    for other in ["synth:tinyshapes?n=20&size=16&seed=1", "synth:tinyshapes?n=30&size=16"] {
      let splits = try DataSplits.open(other)
      XCTAssertThrowsError(
        try EvaluationContext(stored: stored, splits: splits, kind: nil, communicator: world)
      ) { error in
        XCTAssertEqual((error as? Failure)?.code, .badData)
        XCTAssertTrue("\(error)".contains("the features of train are of other images than the data"), "\(error)")
      }
    }
    let same = try DataSplits.open(nil, val: "\(address)&split=val")
    XCTAssertNoThrow(try EvaluationContext(stored: stored, splits: same, kind: nil, communicator: world))
  }
}
