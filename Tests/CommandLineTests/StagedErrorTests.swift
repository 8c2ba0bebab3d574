import Basics
import Foundation
import TestKit
import XCTest

/// Mistakes with the stages of MAE-CT: the code, one message with its place and what to do, and nothing written.
final class StagedErrorTests: XCTestCase {
  private func expectRefusal(
    _ outcome: ProgramRun, _ run: StagedRun, code: Int32, _ words: [String], file: StaticString = #filePath,
    line: UInt = #line
  ) {
    XCTAssertEqual(outcome.code, code, outcome.errors, file: file, line: line)
    for word in words + ["\n  at: ", "\n  hint: "] {
      XCTAssertTrue(outcome.errors.contains(word), "no '\(word)' in: \(outcome.errors)", file: file, line: line)
    }
    let messages = outcome.errors.components(separatedBy: "error: ").count - 1
    XCTAssertEqual(messages, 1, outcome.errors, file: file, line: line)
    XCTAssertEqual(outcome.output, "", file: file, line: line)
    XCTAssertFalse(FileManager.default.fileExists(atPath: run.directory), words[0], file: file, line: line)
  }

  func testMistakesAreFoundBeforeAnythingIsWritten() {
    let cases: [(arguments: [String], code: Int32, words: [String])] = [
      (["--stage", "tun"], 78, ["mae-ct has no stage named 'tun'", "at: --stage", "did you mean 'tune'?"]),
      (["stages=[mae,tuning]"], 78, ["no stage named 'tuning'", "mae, head, tune"]),
      (
        ["--stage", "tune"], 66,
        ["stage tune starts from head, which has no whole checkpoint in run", "--stage head", "stages.tune.from=FILE"]
      ),
      (["--stage", "head"], 66, ["stage head starts from mae", "--stage mae"]),
      (
        ["stages.tune.nnclr.top_k=14"], 78,
        ["nnclr.top_k is 14, but the queue has only 13 slots", "at: stages.tune.nnclr.top_k=14"]
      ),
      (
        ["train.micro_batch=2"], 78,
        ["stage head cannot cut its batch into micro-batches", "BatchNorm, negatives", "at: train.micro_batch=2"]
      ),
      (["stages.tune.train.micro_batch=2"], 78, ["stage tune cannot cut", "at: stages.tune.train.micro_batch=2"]),
      (
        ["stages.head.from=/no/such.h5"], 66,
        ["stage head starts from '/no/such.h5', which does not exist", "at: stages.head.from=/no/such.h5"]
      ),
      (
        ["stages.mae.nnclr.weight=0.001"], 78,
        ["nnclr.weight needs two views of an image, augment.views is 1", "set augment.views to 2"]
      ),
      (
        ["stages.mae.nnclr.weight=0.001", "stages.mae.augment.views=2", "stages.mae.train.micro_batch=2"], 78,
        ["stage mae cannot cut", "stages.mae.train.micro_batch=2"]
      ),
      (["stages.tune.nnclr.topk=3"], 78, ["unknown key 'stages.tune.nnclr.topk'", "'stages.tune.nnclr.top_k'"]),
      (["stages.head.optim.bas_lr=1"], 78, ["unknown key 'stages.head.optim.bas_lr'", "'stages.head.optim.base_lr'"]),
      (["nnclr.queue_sise=99"], 78, ["unknown key 'nnclr.queue_sise'", "'nnclr.queue_size'"]),
      (["stages.head.mae.mask_ratio=0.5"], 78, ["unknown key 'stages.head.mae'", "'mae' belongs to stages.mae"]),
      (["stages.mae.ema.encoder=0.5"], 78, ["unknown key 'stages.mae.ema'", "belongs to stages.head, stages.tune"]),
      (["stages.tune.nnclr.weight=0.1"], 78, ["unknown key 'stages.tune.nnclr.weight'", "stages.mae"]),
      (["stages=[mae]", "ema.encodr=0.5"], 78, ["unknown key 'ema"]),
      (["stages.mae.freeze=lower_half"], 78, ["'freeze' has no meaning for mae", "stages.mae.freeze"]),
      (["stages.tune.freeze.blocks=[0,1,2]"], 78, ["freeze asks for 3 blocks, the encoder has 2"]),
      (["queue.placement=nodes"], 78, ["'queue.placement' is 'nodes', allowed: node, global, replicated"]),
      (
        ["stages.tune.optim.base_lr=0", "stages.tune.optim.head.base_lr=1"], 78,
        ["optim.head.base_lr gives the head a learning rate, but the rest has none", "freeze: encoder"]
      ),
    ]
    for (arguments, code, words) in cases {
      let run = StagedRun()
      expectRefusal(run.train(arguments), run, code: code, words)
    }
  }

  func testAMistakeInsideAStageOfAFileHasItsLineAndIsSaidOnceForAllRanks() throws {
    let run = StagedRun()
    try "stages:\n  - name: mae\n  - name: head\n  - name: tune\n    nnclr: {target_emma: 0.9}\n".write(
      toFile: "\(run.place)/typo.yaml", atomically: true, encoding: .utf8)
    // mpirun waits this long, twice, after the first rank that ends with a code.
    let outcome = ProgramRun.sslmpi(
      run.arguments(["typo.yaml"]), ranks: 3, in: run.place, environment: ["OMPI_MCA_odls_base_sigkill_timeout": "1"])
    XCTAssertEqual(outcome.code, 78, outcome.errors)
    for word in ["unknown key 'stages.tune.nnclr.target_emma'", "typo.yaml:5", "'stages.tune.nnclr.target_ema'"] {
      XCTAssertTrue(outcome.errors.contains(word), outcome.errors)
    }
    XCTAssertEqual(outcome.errors.components(separatedBy: "unknown key").count, 2, outcome.errors)
  }

  /// What is set for the whole run may be for a stage that this run does not have.
  func testSettingsOfTheWholeRunMayBeForAStageThatItDoesNotHave() {
    let run = StagedRun()
    expect(run.train(["stages=[mae]", "ema.encoder=0.5", "nnclr.pool=cls", "--dry-run"]), code: 0)
    expect(
      run.train(["stages=[head,tune]", "stages.head.from=null", "mae.mask_ratio=0.5", "--dry-run"]), code: 0)
  }

  func testACheckpointOfAnotherModelIsRefusedWithATable() {
    let narrow = StagedRun()
    expect(narrow.train(["stages=[mae]", "model.width=16"]), code: 0)
    let run = StagedRun()
    let outcome = run.train(["stages=[head,tune]", "stages.head.from=\(narrow.directory)"])
    expect(
      outcome, code: 65, "the checkpoint does not fit encoder of stage 1/2 head", "0 matched", "29 reshaped",
      "reshaped    student/norm.weight: f32[16] in the file, f32[32] in the model",
      narrow.checkpoint("mae", 3), "check `model` with sslmpi inspect")
    XCTAssertEqual(outcome.errors.components(separatedBy: "error: ").count, 2, outcome.errors)
  }

  func testAHeadOfAnotherSizeIsAWarning() {
    let run = StagedRun()
    expect(
      run.train(["stages.tune.nnclr.proj_hidden=16"]), code: 0,
      "warning: stage 3/3 tune: head starts from scratch: ", "of its 25 tensors fit",
      "\nstage 2/3 head: head starts from scratch: 0 of its 25 tensors fit")
  }

  func testAQueueLargerThanTheDataIsAWarningWithAdvice() {
    let cases = [
      ("25", "the queue of 25 vectors is larger than the data set of 24 images", 2),
      ("7", "the queue of 7 vectors holds more than a quarter of the 24 images", 2), ("6", "the queue", 0),
    ]
    for (size, words, times) in cases {
      let outcome = StagedRun().train(["nnclr.queue_size=\(size)"])
      expect(outcome, code: 0)
      XCTAssertEqual(outcome.errors.components(separatedBy: "warning: \(words)").count - 1, times, outcome.errors)
      let advice = "set nnclr.queue_size to at most 6, and nnclr.target_ema and ema.encoder so that they forget as fast"
      XCTAssertEqual(outcome.errors.contains(advice), times > 0, outcome.errors)
    }
  }

  /// A rank whose whole block has no labels still takes part in what the ranks do together.
  func testImagesOfWhichSomeHaveNoLabelsRunOnAllRanks() throws {
    let run = StagedRun()
    expect(
      ProgramRun.sslmpi(
        ["pack", "synth:tinyshapes?n=24&size=16&seed=3", "--out", "pack", "--as", "folder"], in: run.place),
      code: 0)
    let images = "\(run.place)/pack/images"
    let files = FileManager.default
    // One image keeps its class, the others have none: they lie directly in the root.
    let classes = try files.contentsOfDirectory(atPath: images).sorted()
    var isFirst = true
    for name in classes {
      for image in try files.contentsOfDirectory(atPath: "\(images)/\(name)").sorted() {
        if isFirst {
          isFirst = false
        } else {
          try files.moveItem(atPath: "\(images)/\(name)/\(image)", toPath: "\(images)/\(name)-\(image)")
        }
      }
    }
    let outcome = run.train(ranks: 3, ["data.train=pack/images"])
    expect(outcome, code: 0)
    let accuracies = try run.metrics(stage: "tune").map { $0["nn_accuracy"] }
    XCTAssertEqual(accuracies.count, 4)
    // A step without any labelled image has no accuracy; three steps see every image once.
    XCTAssertTrue(accuracies.contains(.null) && accuracies.contains { $0?.doubleValue != nil }, "\(accuracies)")
  }
}
