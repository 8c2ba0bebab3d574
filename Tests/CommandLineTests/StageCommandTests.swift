import Basics
import Foundation
import TestKit
import XCTest

/// A method of stages on the command line.
final class StageCommandTests: XCTestCase {
  private let directory = temporaryDirectory("stages")
  private let small = TinyRun.settings.map { $0 == "method=mae" ? "method=mae-ct" : $0 } + ["stages=[mae]"]

  private func pretrain(_ more: [String], ranks: Int = 0) -> ProgramRun {
    ProgramRun.sslmpi(
      ["pretrain", "--out", "a"] + small + ["checkpoint.every=null"] + more, ranks: ranks, in: directory)
  }

  private func metrics() throws -> [JSON] {
    try String(contentsOfFile: "\(directory)/a/metrics.jsonl", encoding: .utf8).split(separator: "\n").map {
      try JSON.parse(String($0))
    }
  }

  func testAStageStopsGoesOnAndIsShown() throws {
    let length = ["stages.mae.max_steps=4", "log.images.every=2 steps"]
    let first = pretrain(length + ["train.stop_after=2"], ranks: 2)
    expect(first, code: 75, "mae-ct stage 1/1 mae", "I stage 1/1 mae [2/4]", "stopped at step 2 of stage mae")
    let stopped = ProgramRun.sslmpi(["inspect", "a"], in: directory)
    XCTAssertTrue(stopped.output.contains("stage 1/1 mae: stopped, step 2 of 4"), stopped.output)
    let second = pretrain(length + ["--stage", "mae", "--resume", "auto"], ranks: 3)
    expect(second, code: 0, "resumed from a/checkpoints/mae/step-00000002.h5")
    XCTAssertTrue(second.lines.last?.hasPrefix("FOM images_per_s=") ?? false, second.output)
    XCTAssertEqual(try metrics().filter { $0["kind"] == .string("train") }.map { $0["step"]?.intValue }, [1, 2, 3, 4])
    XCTAssertTrue(try metrics().allSatisfy { $0["stage"] == .string("mae") })
    XCTAssertEqual(
      try FileManager.default.contentsOfDirectory(atPath: "\(directory)/a/viz").sorted(),
      ["mae-recon-00000002.png", "mae-recon-00000004.png"])
    expect(pretrain(length + ["--resume", "auto"]), code: 0, "stage 1/1 mae is finished", "nothing is left to do")
    let shown = ProgramRun.sslmpi(["inspect", "a", "--json"], in: directory)
    XCTAssertEqual(try JSON.parse(shown.output)["checkpoint"]?.stringValue, "a/checkpoints/mae/step-00000004.h5")
    XCTAssertEqual(try JSON.parse(shown.output)["status"]?["stages"]?.arrayValue?.count, 1)
    let file = ProgramRun.sslmpi(["inspect", "a/checkpoints/last.h5"], in: directory)
    XCTAssertTrue(file.output.contains("stage: \"mae\""), file.output)
    // The same weights as a plain run gives: a stage changes no number.
    let plain = TinyRun()
    XCTAssertEqual(plain.train(steps: 4, ranks: 2, ["train.stop_after=2"]).code, 75)
    XCTAssertEqual(plain.train(steps: 4, ranks: 3, ["--resume", "auto"]).code, 0)
    XCTAssertEqual(try readFloats(of: "\(directory)/a/checkpoints/mae/step-00000004.h5"), try plain.tensors(4))
  }

  func testASignalInsideAStageSavesThere() throws {
    let arguments = ["pretrain", "--out", "a"] + small + ["stages.mae.max_steps=1000000", "checkpoint.every=null"]
    let started = ProgramRun.start(arguments, ranks: 2, in: directory)
    started.waitForErrors(containing: "[5/")
    kill(started.process.processIdentifier, SIGUSR1)
    expect(started.wait(), code: 75, "of stage mae", "--resume auto")
    let next = ProgramRun.sslmpi(arguments + ["--resume", "auto", "train.stop_after=1"], ranks: 2, in: directory)
    expect(next, code: 75, "resumed from a/checkpoints/mae/")
  }

  func testMistakesAreNamed() throws {
    let file = "\(directory)/typo.yaml"
    try "method: mae-ct\ndata: {train: \"synth:tinyshapes\"}\nstages:\n  - name: maee\n    epochs: 1\n".write(
      toFile: file, atomically: true, encoding: .utf8)
    expect(
      ProgramRun.sslmpi(["pretrain", file]), code: 78, "mae-ct has no stage named 'maee'", "typo.yaml:4",
      "did you mean 'mae'?")
    let cases: [(arguments: [String], code: Int32, words: String)] = [
      (["train.max_steps=1", "--stage", "mea"], 78, "did you mean 'mae'?"),
      (["train.max_steps=1", "stages.mae.optm.lr=1"], 78, "unknown key 'stages.mae.optm'"),
      (["train.max_steps=1", "stages.mae.freeze=encoder"], 78, "'freeze' has no meaning for mae"),
      (["stages.mae.epochs=null"], 78, "the length of stage mae is not set"),
      (["train.max_steps=1", "method=mae"], 78, "mae has no stages"),
      (["train.max_steps=1", "stages.mae.from=none.h5"], 66, "stage mae starts from 'none.h5'"),
    ]
    for (arguments, code, words) in cases { expect(pretrain(arguments), code: code, words) }
    let plain = TinyRun()
    expect(plain.train(steps: 1, ["--stage", "head"]), code: 78, "mae has no stage named 'head'", "it has no stages")
    expect(plain.train(steps: 1, ["optim.layer_decay=0.5"]), code: 78, "'optim.layer_decay' has no meaning for mae")
    XCTAssertEqual(plain.train(steps: 1).code, 0)
    expect(
      pretrain(["stages.mae.max_steps=2", "--resume", plain.checkpoint(1)]), code: 65, "of method mae",
      "says mae-ct")
  }

  func testAStageStartsFromTheCheckpointOfAPlainRun() throws {
    let plain = TinyRun()
    XCTAssertEqual(plain.train(steps: 2).code, 0)
    let outcome = pretrain(["stages.mae.max_steps=1", "stages.mae.from=\(plain.directory)"])
    expect(
      outcome, code: 0, "stage 1/1 mae: encoder (", "stage 1/1 mae: decoder (", "tensors) from \(plain.checkpoint(2))")
  }

  func testSettingsOfStagesArePrintedAndExplained() throws {
    let file = "\(directory)/a.yaml"
    try "method: mae-ct\ntrain: {epochs: 7}\nstages:\n  - name: mae\n    optim: {base_lr: 3e-4}\n".write(
      toFile: file, atomically: true, encoding: .utf8)
    let printed = ProgramRun.sslmpi(["config", "print", "a.yaml", "--seed", "7"], in: directory)
    expect(printed, code: 0)
    XCTAssertTrue(printed.output.contains("\nstages:\n  - name: mae\n"), printed.output)
    try printed.output.write(toFile: "\(directory)/b.yaml", atomically: true, encoding: .utf8)
    XCTAssertEqual(ProgramRun.sslmpi(["config", "print", "b.yaml"], in: directory).output, printed.output)
    let json = ProgramRun.sslmpi(["config", "print", "a.yaml", "--json"], in: directory)
    XCTAssertEqual(try JSON.parse(json.output)["stages"]?.arrayValue?.first?["name"]?.stringValue, "mae")
    let explained = ProgramRun.sslmpi(
      ["config", "explain", "stages.mae.optim.base_lr", "a.yaml"], in: directory)
    XCTAssertTrue(explained.output.hasPrefix("stages.mae.optim.base_lr: 0.0003\n"), explained.output)
    XCTAssertTrue(explained.output.contains("a.yaml:5"), explained.output)
    let methods = ProgramRun.sslmpi(["list", "methods"]).lines
    XCTAssertTrue(methods.contains { $0.hasPrefix("mae-ct") && $0.contains("stages mae") }, "\(methods)")
  }

  func testTraceStepTakesAStage() throws {
    let arguments = ["trace-step"] + small + ["stages.mae.max_steps=3", "--stage", "mae", "--out", "step.h5"]
    expect(ProgramRun.sslmpi(arguments, in: directory), code: 0)
    let record = try JSON.parse(ProgramRun.sslmpi(["inspect", "step.h5", "--json"], in: directory).output)
    XCTAssertEqual(record["attributes"]?["stage"]?.stringValue, "mae")
    XCTAssertEqual(record["attributes"]?["method"]?.stringValue, "mae-ct")
  }
}
