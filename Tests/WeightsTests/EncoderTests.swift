import Basics
import Features
import TestKit
import Tensors
import Weights
import XCTest

final class EncoderTests: XCTestCase {
  func testAMissingCheckpointIsNamed() throws {
    let world = try sharedCommunicator()
    XCTAssertThrowsError(try Encoder("/nowhere/at-all.h5", communicator: world)) { error in
      XCTAssertEqual((error as? Failure)?.code, .inputMissing)
    }
  }

  func testTheAveragedEncoderComesFirstAndOthersByName() throws {
    let world = try sharedCommunicator()
    let file = try SmallCheckpoint(world, names: ["student", "ema"], method: "mae-ct")
    let images = Tensor(ExactRandom.floats(2 * 3 * 16 * 16, seed: 1), [2, 3, 16, 16])
    for (asked, expected) in [(nil, "ema"), ("ema", "ema"), ("student", "student")] {
      let encoder = try Encoder(file.path, weights: asked, communicator: world)
      XCTAssertEqual(encoder.weights, expected)
      XCTAssertEqual(encoder.tokens(images).array, file.encoders[expected]?(images).value.array)
      XCTAssertEqual(encoder.origin.weights, expected)
    }
    XCTAssertThrowsError(try Encoder(file.path, weights: "teacher", communicator: world)) { error in
      XCTAssertEqual((error as? Failure)?.code, .badData)
      XCTAssertEqual((error as? Failure)?.hint, "--weights may be ema, student")
    }
  }

  func testImagesAreNormalisedAsInTraining() throws {
    let world = try sharedCommunicator()
    let encoder = try Encoder(SmallCheckpoint(world).path, communicator: world)
    XCTAssertEqual(encoder.mean, [0.5, 0.4, 0.3])
    XCTAssertEqual(encoder.std, [0.2, 0.3, 0.4])
  }

  func testAnotherSideTakesResampledPositionsAndTheSameWeights() throws {
    let world = try sharedCommunicator()
    let file = try SmallCheckpoint(world)
    let encoder = try Encoder(file.path, communicator: world)
    let larger = try encoder.resized(to: 24)
    let images = Tensor(ExactRandom.floats(2 * 3 * 24 * 24, seed: 2), [2, 3, 24, 24])
    XCTAssertEqual(larger.configuration.imgSize, 24)
    XCTAssertEqual(larger.tokens(images).shape, [2, 1 + 36, 16])
    XCTAssertEqual(larger.tokens(images).array, file.encoders["student"]?.resized(to: 24)(images).value.array)
    XCTAssertThrowsError(try encoder.resized(to: 18)) { XCTAssertEqual(($0 as? Failure)?.code, .usage) }
  }
}
