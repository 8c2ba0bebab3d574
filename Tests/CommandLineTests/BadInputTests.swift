import Basics
import Foundation
import TestKit
import XCTest

/// Bad input gets one clear message and the documented exit code.
final class BadInputTests: XCTestCase {
  private func expect(
    _ result: ProgramRun, _ code: ExitCode, _ words: String..., file: StaticString = #filePath, line: UInt = #line
  ) {
    XCTAssertEqual(result.code, code.rawValue, result.errors, file: file, line: line)
    for word in words {
      XCTAssert(result.errors.contains(word), "no '\(word)' in: \(result.errors)", file: file, line: line)
    }
  }

  func testAMisspeltKeyNamesTheNearestOneAndItsLine() throws {
    let file = temporaryDirectory() + "/typo.yaml"
    try "method: mae\ndata: {train: \"synth:tinyshapes\"}\noptim:\n  base_lrr: 1e-3\ntrain: {max_steps: 1}\n".write(
      toFile: file, atomically: true, encoding: .utf8)
    expect(ProgramRun.sslmpi(["pretrain", file]), .badConfig, "base_lrr", "base_lr", "typo.yaml:4")
  }

  func testMissingDataIsNamed() {
    expect(TinyRun().train(steps: 1, ["data.train=/no/such/folder"]), .inputMissing, "/no/such/folder")
  }

  func testOutputThatCannotBeWrittenOrExists() {
    let run = TinyRun()
    expect(
      ProgramRun.sslmpi(["pretrain", "--out", "/proc/nowhere"] + TinyRun.settings + ["train.max_steps=1"]),
      .cannotCreate, "/proc/nowhere")
    XCTAssertEqual(run.train(steps: 1).code, 0)
    expect(run.train(steps: 1), .cannotCreate, "--resume auto", "--overwrite")
    XCTAssertEqual(run.train(steps: 1, ["--overwrite"]).code, 0)
  }

  func testABatchSmallerThanTheRanks() {
    expect(TinyRun().train(steps: 1, ranks: 3, ["train.batch_size=2"]), .badConfig, "smaller than the 3 ranks")
  }

  func testADamagedCheckpointIsRefusedAndAutoFallsBack() throws {
    let run = TinyRun()
    XCTAssertEqual(run.train(steps: 6, ["checkpoint.every=2 steps"]).code, 0)
    let path = run.checkpoint(6)
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    bytes[bytes.count / 2] ^= 0x10
    try bytes.write(to: URL(fileURLWithPath: path))
    expect(run.train(steps: 8, ["--resume", path]), .badData, "step-00000006.h5")
    let next = run.train(steps: 8, ["--resume", "auto"])
    expect(next, .done, "step-00000006.h5", "step-00000004.h5")
    try Data(bytes.prefix(bytes.count / 3)).write(to: URL(fileURLWithPath: path))
    expect(run.train(steps: 8, ["--resume", path]), .badData, "step-00000006.h5")
  }

  func testACheckpointOfAnotherModelShowsWhatDiffers() {
    let run = TinyRun()
    XCTAssertEqual(run.train(steps: 1).code, 0)
    let other = TinyRun()
    expect(
      other.train(steps: 1, ["--init-from", run.checkpoint(1), "model.depth=3"]), .badData, "matched", "missing",
      "student/blocks.2.")
  }

  func testANonFiniteLossStopsWithARecord() throws {
    let run = TinyRun()
    let result = run.train(steps: 20, ranks: 2, ["optim.lr=100", "optim.weight_decay=10", "optim.warmup=0 steps"])
    expect(result, .nonFinite, "not finite", "debug/nonfinite-step-")
    let names = try FileManager.default.contentsOfDirectory(atPath: run.directory + "/debug")
    XCTAssertEqual(names.count, 1)
  }

  func testUnknownOptionsAreUsageErrors() {
    XCTAssertEqual(ProgramRun.sslmpi(["pretrain", "--no-such-flag"]).code, ExitCode.usage.rawValue)
  }
}
