import Basics
import Foundation
import TestKit
import XCTest

/// A whole run of the program on generated images, small enough for a test.
final class RunTests: XCTestCase {
  private let directory = temporaryDirectory("run")
  private let small = [
    "--preset", "mae/tiny-shapes", "model.width=32", "model.depth=1", "model.heads=2", "model.decoder.dim=16",
    "model.decoder.depth=1", "model.decoder.heads=2", "--data", "synth:tinyshapes?n=40&size=32", "--batch-size", "8",
    "train.epochs=null", "train.max_steps=4", "eval.knn.k=3", "runtime.threads=1", "log.every=1 step",
  ]

  private func pretrain(_ more: [String], ranks: Int = 0) -> ProgramRun {
    ProgramRun.sslmpi(["pretrain"] + small + ["--out", "a"] + more, ranks: ranks, in: directory)
  }

  private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: "\(directory)/\(path)") }

  func testDryRunWritesNothing() throws {
    let outcome = pretrain(["--dry-run"])
    expect(outcome, code: 0)
    XCTAssertTrue(outcome.output.contains("batch 8"), outcome.output)
    XCTAssertFalse(exists("a"))
  }

  func testARunStopsGoesOnAndEnds() throws {
    expect(pretrain(["train.stop_after=2"]), code: 75)
    XCTAssertTrue(exists("a/config.resolved.yaml") && exists("a/metrics.jsonl"))
    expect(pretrain([]), code: 73, "--resume auto", "--overwrite")
    let end = pretrain(["--resume", "auto"])
    expect(end, code: 0)
    XCTAssertTrue(end.lines.last?.hasPrefix("FOM images_per_s=") ?? false, end.output)
    let shown = ProgramRun.sslmpi(["inspect", "a", "--json"], in: directory)
    XCTAssertEqual(try JSON.parse(shown.output)["checkpoint"]?.stringValue, "a/checkpoints/mae/step-00000004.h5")
    expect(ProgramRun.sslmpi(["inspect", "a/checkpoints/last.h5", "--verify"], in: directory), code: 0)
  }

  func testTheResolvedFileRunsTheSame() throws {
    expect(pretrain([]), code: 0)
    let again = ProgramRun.sslmpi(["pretrain", "a/config.resolved.yaml", "--out", "b"], in: directory)
    expect(again, code: 0)
    func losses(_ run: String) throws -> [Double] {
      try String(contentsOfFile: "\(directory)/\(run)/metrics.jsonl", encoding: .utf8).split(separator: "\n")
        .compactMap { try JSON.parse(String($0))["loss"]?.doubleValue }
    }
    XCTAssertFalse(try losses("a").isEmpty)
    XCTAssertEqual(try losses("a"), try losses("b"))
  }

  func testTheNameTrainAndForeignOptionsAreUnderstood() throws {
    let outcome = ProgramRun.sslmpi(
      ["train"] + small + ["--output-dir", "c", "--blr=1e-3", "--dry-run"], in: directory)
    expect(outcome, code: 0, "note: --output-dir is called --out here", "note: --blr is called --base-lr here")
    XCTAssertTrue(outcome.output.contains("run c"), outcome.output)
  }

  func testPackedImagesAreAFolderOfData() throws {
    let source = "synth:tinyshapes?n=20&size=32"
    expect(ProgramRun.sslmpi(["pack", source, "--out", "p", "--as", "folder"], in: directory), code: 0)
    let folder = try JSON.parse(ProgramRun.sslmpi(["inspect", "p/images", "--json"], in: directory).output)
    XCTAssertEqual(folder["images"]?.intValue, 20)
    XCTAssertEqual(folder["classes"]?.arrayValue?.count, 10)
    expect(ProgramRun.sslmpi(["pack", source, "--out", "p"], in: directory), code: 73, "not empty")
    expect(pretrain(["--data", "p/images", "--dry-run"]), code: 0)
  }

  func testTraceStepWritesAReadableRecord() throws {
    expect(ProgramRun.sslmpi(["trace-step"] + small + ["--out", "step.h5"], in: directory), code: 0)
    let record = try JSON.parse(ProgramRun.sslmpi(["inspect", "step.h5", "--json"], in: directory).output)
    XCTAssertEqual(record["format"]?.stringValue, "sslmpi-step-1")
    let names = record["datasets"]?.arrayValue?.compactMap { $0["name"]?.stringValue } ?? []
    XCTAssertTrue(names.contains { $0.hasSuffix("samples/index") } && names.contains { $0.hasSuffix("loss/total") })
  }

  func testBenchmarksPrintOneJSONObject() throws {
    let cases: [([String], String)] = [
      (["gemm", "--rows", "16", "--columns", "16", "--inner", "16", "--seconds", "0.01"], "sgemm_gflops"),
      (["kernels", "--rows", "4", "--width", "64", "--seconds", "0.001"], "kernels"),
      (["step", "--workload", "ti4_32", "--batch", "2", "--steps", "1"], "fraction_of_sgemm"),
      (["allreduce", "--repetitions", "1"], "sizes"),
      (["jpeg", "--images", "1", "--rounds", "1"], "images_per_s"),
    ]
    for (arguments, key) in cases {
      let outcome = ProgramRun.sslmpi(["bench"] + arguments + ["--json"])
      expect(outcome, code: 0)
      XCTAssertNotNil(try JSON.parse(outcome.output)[key], outcome.output)
    }
  }

  func testMeasuredProductEnginesAreKeptForTheRun() throws {
    let run = TinyRun()
    let first = run.train(steps: 4, ranks: 2, ["runtime.gemm=auto", "train.stop_after=2"])
    XCTAssertEqual(first.code, 75, first.errors)
    XCTAssertTrue(first.errors.contains("products forward"), first.errors)
    let file = run.directory + "/gemm.json"
    let kept = try String(contentsOfFile: file, encoding: .utf8)
    let products = try XCTUnwrap(JSON.parse(kept)["products"]?.arrayValue)
    XCTAssertEqual(products.count % 3, 0)
    XCTAssertGreaterThan(products.count, 0)

    // Another choice than the measured one, to see that it is read and not measured again.
    let mine = kept.replacingOccurrences(
      of: #""engine":"(native|onednn)""#, with: #""engine":"openblas""#, options: .regularExpression)
    try mine.write(toFile: file, atomically: true, encoding: .utf8)
    let second = run.train(steps: 4, ranks: 2, ["runtime.gemm=auto", "--resume", "auto"])
    XCTAssertEqual(second.code, 0, second.errors)
    XCTAssertEqual(try String(contentsOfFile: file, encoding: .utf8), mine)

    try "{".write(toFile: file, atomically: true, encoding: .utf8)
    let damaged = run.train(steps: 5, ranks: 2, ["runtime.gemm=auto", "--resume", "auto"])
    XCTAssertEqual(damaged.code, 65, damaged.errors)
    XCTAssertTrue(damaged.errors.contains("gemm.json"), damaged.errors)
  }
}
