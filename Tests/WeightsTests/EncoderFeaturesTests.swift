import Basics
import Features
import Layers
import TestKit
import Tensors
import XCTest

@testable import Weights

final class EncoderFeaturesTests: XCTestCase {
  private let images = Tensor(ExactRandom.floats(3 * 3 * 16 * 16, seed: 5), [3, 3, 16, 16])

  func testEveryKindIsWhatTheTokensSay() throws {
    let world = try sharedCommunicator()
    for classTokens in [1, 2] {
      let file = try SmallCheckpoint(world, classTokens: classTokens)
      let encoder = try Encoder(file.path, communicator: world)
      let plain = PlainTokens(encoder, images)
      let (l, c) = (16, classTokens)
      func patchMean(_ rows: [[Double]]) -> [Double] {
        (0..<16).map { d in (c..<c + l).reduce(0) { $0 + rows[$1][d] } / Double(l) }
      }
      var expected: [(String, [Int], ([[[Double]]], [[[Double]]]) -> [Double])] = [
        ("cls", [16], { n, _ in n[3][0] }), ("patchmean", [16], { n, _ in patchMean(n[3]) }),
        ("concat", [32], { n, _ in n[3][0] + patchMean(n[3]) }),
        ("lastK:3", [48], { n, _ in n[1][0] + n[2][0] + n[3][0] }),
        ("lastK:2+mean", [48], { n, _ in n[2][0] + n[3][0] + patchMean(n[3]) }),
        ("patches", [16, 16], { n, _ in n[3][c...].flatMap { $0 } }),
        ("patches:1,3", [16, 32], { n, _ in zip(n[1], n[3]).dropFirst(c).flatMap { $0 + $1 } }),
        ("tokens", [c + 16, 16], { n, _ in n[3].flatMap { $0 } }),
        ("cls:prenorm", [16], { _, raw in raw[3][0] }), ("patchmean:prenorm", [16], { _, raw in patchMean(raw[3]) }),
        ("lastK:2:prenorm", [32], { _, raw in raw[2][0] + raw[3][0] }),
        ("patches:2:prenorm", [16, 16], { _, raw in raw[2][c...].flatMap { $0 } }),
      ]
      if c == 2 { expected.append(("cls+", [16], { n, _ in n[3][1] })) }
      let kinds = try expected.map { try FeatureKind(parsing: $0.0) }
      let features = encoder.features(images, kinds)
      for (place, (word, shape, value)) in expected.enumerated() {
        XCTAssertEqual(try encoder.itemShape(kinds[place]), shape, word)
        XCTAssertEqual(features[place].shape.dims, [3] + shape, word)
        let plainValues = (0..<3).flatMap { value(plain.normalised[$0], plain.raw[$0]).map(Float.init) }
        expectClose(features[place].array, plainValues, relative: 1e-4, absolute: 1e-5, "\(word), \(c) class tokens")
        // One forward pass for all gives what one for each gives.
        XCTAssertEqual(encoder.features(images, [kinds[place]])[0].array, features[place].array, word)
      }
    }
  }

  func testAKindThatTheEncoderDoesNotHaveIsRefused() throws {
    let world = try sharedCommunicator()
    let encoder = try Encoder(SmallCheckpoint(world).path, communicator: world)
    for word in ["cls+", "lastK:4", "patches:4", "patches:1,4:prenorm"] {
      XCTAssertThrowsError(try encoder.itemShape(try FeatureKind(parsing: word)), word) { error in
        XCTAssertEqual((error as? Failure)?.code, .usage, word)
        XCTAssertTrue("\(error)".contains(word), "\(error)")
      }
    }
  }

  func testTheDefaultKindIsThatOfTheMethodsPaper() {
    let expected: [(method: String, width: Int, word: String)] = [
      ("mae-ct", 768, "patchmean"), ("mae-ct", 1024, "cls"), ("mae", 192, "patchmean"), ("udi", 384, "cls"),
      ("mmc", 384, "cls"), ("moca", 1024, "patchmean"),
    ]
    for (method, width, word) in expected {
      XCTAssertEqual(Encoder.defaultKind(method: method, width: width).description, word, method)
    }
  }

  func testThePoolingOfTheRunIsReadFromItsSettings() throws {
    for (config, pool) in [
      (#"{"nnclr":{"pool":"cls"},"mae":{"pool":"mean_patch"}}"#, Pooling.classToken),
      (#"{"nnclr":{"pool":"auto"},"mae":{"pool":"mean_patch"}}"#, .meanPatch), (#"{"mae":{"mask_ratio":0.75}}"#, nil),
    ] {
      XCTAssertEqual(try Encoder.pool(in: config, named: "step-1.h5"), pool, config)
    }
    let world = try sharedCommunicator()
    let chosen = try SmallCheckpoint(world, more: #","mae":{"pool":"cls"}"#)
    XCTAssertEqual(try Encoder(chosen.path, communicator: world).defaultKind.description, "cls")
    XCTAssertEqual(try Encoder(SmallCheckpoint(world).path, communicator: world).defaultKind.description, "patchmean")
  }
}

/// The tokens of each image after every block, plain and normalised in double.
private struct PlainTokens {
  /// [image][block][token][dimension]
  let raw: [[[[Double]]]]
  let normalised: [[[[Double]]]]

  init(_ encoder: Encoder, _ images: Tensor) {
    let taps = encoder.vit.encoded(images, keep: nil, taps: [0, 1, 2, 3]).taps.map(\.value)
    let (tokens, width) = (taps[0].shape[1], taps[0].shape[2])
    let weight = encoder.arena["norm.weight"]?.value.array ?? []
    let bias = encoder.arena["norm.bias"]?.value.array ?? []
    raw = (0..<images.shape[0]).map { image in
      taps.map { tap in
        (0..<tokens).map { row in
          (0..<width).map { Double(tap.pointer[(image * tokens + row) * width + $0]) }
        }
      }
    }
    normalised = raw.map { blocks in
      blocks.map { rows in
        rows.map { row in
          let mean = row.reduce(0, +) / Double(width)
          let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
          return row.enumerated().map {
            ($1 - mean) / (variance + 1e-6).squareRoot() * Double(weight[$0]) + Double(bias[$0])
          }
        }
      }
    }
  }
}
