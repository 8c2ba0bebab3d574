import Basics
import Foundation
import Storage
import TestKit
import XCTest

/// `sslmpi embed` as a user starts it.
final class EmbedTests: XCTestCase {
  private static let data = "synth:tinyshapes?n=10&size=16&seed=3&split=val"

  /// A run of two steps, and a folder to write into.
  private func run() throws -> (run: TinyRun, folder: String) {
    let run = TinyRun()
    expect(run.train(steps: 2), code: 0)
    return (run, temporaryDirectory("embed"))
  }

  func testAFileHoldsFeaturesTokensInputsAndWhatTheyAre() throws {
    let (run, folder) = try run()
    let path = "\(folder)/val.h5"
    let arguments = ["embed", run.directory, "--data", Self.data, "--feature", "cls", "--tokens", "all"]
    expect(ProgramRun.sslmpi(arguments + ["--save-inputs", "--out", path]), code: 0, "10 images", "tokens [17, 32]")
    let file = try H5File.open(path)
    let shapes = try file.datasets().map { "\($0.name) \($0.shape) \($0.kind?.rawValue ?? "?")" }
    let attributes = try file.attributes()
    try file.close()
    XCTAssertEqual(
      shapes,
      [
        "cls [10, 32] f32", "index [10] i64", "inputs [10, 3, 16, 16] f32", "labels [10] i32",
        "tokens [10, 17, 32] f32",
      ])
    let values = try readFloats(of: path)
    let (cls, tokens) = (values["cls"] ?? [], values["tokens"] ?? [])
    for image in 0..<10 {
      XCTAssertEqual(Array(cls[image * 32..<(image + 1) * 32]), Array(tokens[image * 17 * 32..<(image * 17 + 1) * 32]))
    }
    let text = Dictionary(uniqueKeysWithValues: attributes.map { ($0.name, $0.value) })
    XCTAssertEqual(text["checkpoint"], .string(run.checkpoint(2)))
    XCTAssertEqual(text["weights"], .string("student"))
    XCTAssertEqual(text["transform"], .string("eval(16, bicubic)"))
    XCTAssertEqual(text["n"], .int(10))

    // Any number of ranks and any batch size write the same bytes.
    for (ranks, batch) in [(1, "3"), (3, "2")] {
      let other = "\(folder)/\(ranks).h5"
      let again = ProgramRun.sslmpi(
        arguments + ["--save-inputs", "--out", other, "--batch", batch, "--threads", "1"], ranks: ranks)
      expect(again, code: 0)
      XCTAssertTrue(FileManager.default.contentsEqual(atPath: other, andPath: path), "\(ranks) ranks")
    }
  }

  func testDataWithPartsBecomeAFolderThatEvalTakes() throws {
    let (run, folder) = try run()
    let data = "synth:tinyshapes?n=40&size=16"
    for (name, format, files) in [("h5", ["--format", "h5"], ["train.h5", "val.h5"]), ("npy", [], ["train", "val"])] {
      let out = "\(folder)/\(name)"
      expect(ProgramRun.sslmpi(["embed", run.directory, "--data", data, "--out", out] + format), code: 0)
      XCTAssertEqual(Directory.entries(out), files)
      let features = ProgramRun.sslmpi(["eval", "knn", "--features", out, "--data", data, "--json", "k=[1,5]"])
      let images = ProgramRun.sslmpi(["eval", "knn", run.directory, "--data", data, "--json", "k=[1,5]"])
      expect(features, code: 0)
      expect(images, code: 0)
      let metrics = try [features, images].map { try JSON.parse($0.output)["metrics"] }
      XCTAssertNotNil(metrics[0])
      XCTAssertEqual(metrics[0], metrics[1])
      let other = ProgramRun.sslmpi(["eval", "knn", "--features", out, "--data", data + "&seed=5", "k=[1]"])
      expect(other, code: 65, "the features of train are of other images than the data")
    }
    let linear = ["embed", run.directory, "--data", data, "--interpolation", "bilinear", "--size", "8"]
    expect(ProgramRun.sslmpi(linear + ["--out", "\(folder)/linear"]), code: 0)
    let manifest = try JSON.parse(String(contentsOfFile: "\(folder)/linear/val/manifest.json", encoding: .utf8))
    XCTAssertEqual(manifest["transform"], .string("eval(8, bilinear)"))
    XCTAssertEqual(
      Directory.entries("\(folder)/npy/val"), ["index.npy", "labels.npy", "manifest.json", "patchmean.npy"])
  }

  func testWhatCannotBeIsSaid() throws {
    let (run, folder) = try run()
    let wrong: [(arguments: [String], code: Int32, words: String)] = [
      (["--data", Self.data, "--out", "\(folder)/a.h5", "--feature", "cls+"], 64, "has no feature 'cls+'"),
      (["--data", Self.data, "--out", "\(folder)/a.h5", "--feature", "best"], 64, "there is no feature named 'best'"),
      (["--data", Self.data, "--out", "\(folder)/a.h5", "--weights", "ema"], 65, "no encoder named 'ema'"),
      (["--data", Self.data, "--out", "\(folder)/a.h5", "--format", "npy"], 64, "npy features are a folder"),
      (["--data", Self.data, "--out", "\(folder)/a.h5", "--size", "15"], 64, "cannot be cut into patches"),
      (["--data", "\(folder)/none", "--out", "\(folder)/a.h5"], 66, "\(folder)/none"),
    ]
    for (arguments, code, words) in wrong {
      expect(ProgramRun.sslmpi(["embed", run.directory] + arguments), code: code, words)
    }
    expect(ProgramRun.sslmpi(["embed", "\(folder)/none", "--data", Self.data, "--out", "\(folder)/a.h5"]), code: 66)
    XCTAssertEqual(Directory.entries(folder), [])
  }
}
