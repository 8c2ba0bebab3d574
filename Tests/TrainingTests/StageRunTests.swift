import Basics
import Checkpoints
import Foundation
import TestKit
import XCTest

@testable import Training

/// Runs of several stages: what each takes over, where each goes on, and what stays in the directory.
final class StageRunTests: XCTestCase {
  private let allSteps = (1...4).map { "mae \($0)" } + (1...5).map { "head \($0)" } + (1...3).map { "tune \($0)" }

  private func failure(_ body: () throws -> ExitCode, file: StaticString = #filePath, line: UInt = #line) -> Failure {
    do {
      XCTFail("ended with \(try body())", file: file, line: line)
    } catch let failure as Failure {
      return failure
    } catch {
      XCTFail("\(error)", file: file, line: line)
    }
    return Failure(.internalError, "")
  }

  private func expect(
    _ failure: Failure, _ code: ExitCode, _ words: String..., file: StaticString = #filePath, line: UInt = #line
  ) {
    XCTAssertEqual(failure.code, code, failure.description, file: file, line: line)
    for word in words {
      XCTAssertTrue(failure.description.contains(word), "no '\(word)' in: \(failure)", file: file, line: line)
    }
  }

  func testThreeStagesInOneRunFeedEachOther() throws {
    let run = try StagedRun()
    XCTAssertEqual(try run.train(), .done)
    // The head's stage leaves the encoder as it was, bit for bit; the next one changes it.
    let (mae, head, tune) = try (run.weights("mae", 4), run.weights("head", 5), run.weights("tune", 3))
    let encoder = head.keys.filter { !$0.contains("fake_head") }
    XCTAssertGreaterThan(encoder.count, 10)
    for name in encoder { XCTAssertEqual(head[name], mae[name], name) }
    XCTAssertTrue(encoder.contains { tune[$0] != head[$0] })
    XCTAssertEqual(
      FakeHead.history,
      [
        "head attached", "head opened", "head inherited encoder at 0", "tune attached", "tune opened",
        "tune inherited encoder+head at 5",
      ], "one stage is gone before the next is built, and is told once what it took over")
    XCTAssertNil(FakeHead.trained)
    XCTAssertEqual(try run.steps(), allSteps)
    let status = try run.status()
    XCTAssertEqual(status["state"]?.stringValue, "finished")
    XCTAssertEqual(
      status["stages"]?.line,
      #"[{"name":"mae","state":"finished","step":4,"steps":4},{"name":"head","state":"finished","step":5,"steps":5},"#
        + #"{"name":"tune","state":"finished","step":3,"steps":3}]"#)
    XCTAssertEqual(run.words.filter { $0.hasPrefix("FOM ") }.count, 1)
    XCTAssertTrue(run.words.last?.hasPrefix("FOM ") ?? false)
    XCTAssertTrue(run.said("stage 2/3 head: encoder (") && run.said("checkpoints/mae/step-00000004.h5"), "\(run.words)")
    XCTAssertTrue(run.said("stage 2/3 head: head starts from scratch"), "\(run.words)")
    XCTAssertTrue(run.said("stage 2/3 head [3/5]") && run.said("warning: 64 images are few"), "\(run.words)")
    XCTAssertEqual(try CheckpointReader.header(run.checkpoint("tune", 3)).stage, "tune")
  }

  func testObservationsAndHeadFeaturesReachTheMetrics() throws {
    let run = try StagedRun()
    XCTAssertEqual(try run.train(), .done)
    let head = try run.metrics().filter { $0["stage"] == .string("head") }
    XCTAssertEqual(head.compactMap { $0["counted"]?.doubleValue }, [0, 1, 2, 3, 4])
    XCTAssertTrue(head.filter { $0["kind"] == .string("train") }.allSatisfy { $0["absent"] == .null })
    XCTAssertTrue(run.said("counted: 4"))
    let health = head.filter { $0["kind"] == .string("eval") }
    XCTAssertEqual(health.count, 2)
    for line in health {
      for key in ["emb_std", "eff_rank", "head_std", "head_eff_rank"] { XCTAssertNotNil(line[key]?.doubleValue, key) }
    }
    XCTAssertTrue(try run.metrics().filter { $0["stage"] == .string("mae") }.allSatisfy { $0["head_std"] == nil })
  }

  func testARunStoppedInsideAStageGoesOnThere() throws {
    let whole = try StagedRun()
    XCTAssertEqual(try whole.train(), .done)
    let run = try StagedRun()
    XCTAssertEqual(try run.train(["stages.head.train.stop_after=3"]), .stoppedEarly)
    XCTAssertTrue(run.said("stopped at step 3 of stage head") && run.said("--resume auto"), "\(run.words)")
    XCTAssertEqual(try run.status()["stage"]?.stringValue, "head")
    // The newest checkpoint is the head's at step 3, not that of mae at step 4.
    let newest = try CheckpointReader.newestValid(in: run.directory, stages: RunDirectory.stages(at: run.directory))
    XCTAssertEqual(newest.path, run.checkpoint("head", 3))
    XCTAssertEqual(try run.train { $0.resume = .auto }, .done)
    XCTAssertTrue(run.said("stage 1/3 mae is finished: step 4 of 4"), "\(run.words)")
    XCTAssertTrue(run.said("resumed from \(run.checkpoint("head", 3))"), "\(run.words)")
    XCTAssertFalse(FakeHead.history.contains { $0.hasPrefix("head inherited") }, "a resumed stage takes nothing over")
    XCTAssertEqual(try run.steps(), allSteps)
    XCTAssertEqual(try run.weights("tune", 3), try whole.weights("tune", 3))
    XCTAssertEqual(try run.train { $0.resume = .auto }, .done)
    XCTAssertTrue(run.said("nothing is left to do"), "\(run.words)")
    XCTAssertEqual(try run.steps(), allSteps)
  }

  func testADamagedNewestCheckpointOfAStageIsPassedOver() throws {
    let whole = try StagedRun()
    XCTAssertEqual(try whole.train(), .done)
    let run = try StagedRun()
    XCTAssertEqual(try run.train(["stages.head.train.stop_after=4"]), .stoppedEarly)
    try run.damage(run.checkpoint("head", 4))
    XCTAssertEqual(try run.train { $0.resume = .auto }, .done)
    XCTAssertTrue(run.said("step-00000004.h5 does not verify"), "\(run.words)")
    XCTAssertTrue(run.said("resumed from \(run.checkpoint("head", 2))"), "\(run.words)")
    XCTAssertEqual(try run.weights("tune", 3), try whole.weights("tune", 3))
    // A finished stage whose last checkpoint is damaged goes on from the one before it, the others are done.
    try run.damage(run.checkpoint("mae", 4))
    XCTAssertEqual(try run.train { $0.resume = .auto }, .done)
    XCTAssertTrue(run.said("resumed from \(run.checkpoint("mae", 2))"), "\(run.words)")
    XCTAssertTrue(run.said("stage 2/3 head is finished"), "\(run.words)")
    XCTAssertEqual(try run.steps().filter { $0.hasPrefix("mae") }, ["mae 1", "mae 2", "mae 3", "mae 4"])
  }

  func testAStopAtTheEndOfAStageIsAStop() throws {
    let run = try StagedRun()
    XCTAssertEqual(try run.train(["stages.mae.train.stop_after=4"]), .stoppedEarly)
    XCTAssertEqual(try run.status()["stages"]?.arrayValue?.first?["state"]?.stringValue, "finished")
    XCTAssertEqual(try run.train(["stages.tune.train.stop_after=3"]) { $0.resume = .auto }, .done)
    XCTAssertEqual(try run.steps(), allSteps)
  }

  func testOneStageIsRunAlone() throws {
    let run = try StagedRun()
    expect(
      failure { try run.train { $0.stage = "head" } }, .inputMissing, "stage head starts from mae",
      "sslmpi pretrain ... --stage mae")
    XCTAssertFalse(FileManager.default.fileExists(atPath: run.directory), "nothing is made for a run that cannot begin")
    expect(failure { try run.train { $0.stage = "hed" } }, .badConfig, "no stage named 'hed'", "'head'")
    XCTAssertEqual(try run.train { $0.stage = "mae" }, .done)
    XCTAssertTrue(run.words.last?.hasPrefix("FOM ") ?? false)
    // The directory holds a run, but nothing of this stage.
    XCTAssertEqual(try run.train { $0.stage = "head" }, .done)
    XCTAssertEqual(try run.steps(), Array(allSteps.prefix(9)))
    XCTAssertEqual(try run.status()["attempt"]?.intValue, 2)
    expect(failure { try run.train { $0.stage = "head" } }, .cannotCreate, "stage head", "--resume auto", "--overwrite")
    expect(failure { try run.train() }, .cannotCreate, "already holds a run")
    XCTAssertEqual(
      try run.train {
        $0.resume = .auto; $0.stage = "head"
      }, .done)
    XCTAssertTrue(run.said("stage 2/3 head is finished"), "\(run.words)")
    XCTAssertEqual(try run.train { $0.resume = .auto }, .done)
    XCTAssertEqual(try run.steps(), allSteps)
  }

  func testOverwritingAStageLeavesTheOthers() throws {
    let run = try StagedRun()
    XCTAssertEqual(try run.train(["log.images.every=2 steps"]), .done)
    XCTAssertEqual(try run.files("viz"), ["mae-recon-00000002.png", "mae-recon-00000004.png"])
    let before = try run.weights("mae", 4)
    let mine = "\(run.directory)/checkpoints/mine.txt"
    try "keep".write(toFile: mine, atomically: true, encoding: .utf8)
    XCTAssertEqual(
      try run.train(["stages.head.max_steps=2"]) {
        $0.overwrite = true; $0.stage = "head"
      }, .done)
    XCTAssertEqual(try run.files("checkpoints/head"), ["step-00000002.h5"])
    XCTAssertEqual(try run.files("checkpoints/tune").count, 2)
    XCTAssertEqual(try run.weights("mae", 4), before)
    XCTAssertEqual(try run.files("viz").count, 2)
    XCTAssertEqual(
      try run.steps(), (1...4).map { "mae \($0)" } + (1...3).map { "tune \($0)" } + ["head 1", "head 2"])
    XCTAssertEqual(try run.train { $0.overwrite = true }, .done)
    XCTAssertEqual(try run.steps(), allSteps)
    XCTAssertEqual(try run.status()["attempt"]?.intValue, 1)
    XCTAssertTrue(FileManager.default.fileExists(atPath: mine))
  }

  func testAnUnfinishedOriginIsAWarningAndALaterOneToo() throws {
    let run = try StagedRun()
    XCTAssertEqual(try run.train(["stages.mae.train.stop_after=2"]), .stoppedEarly)
    XCTAssertEqual(try run.train { $0.stage = "head" }, .done)
    XCTAssertTrue(run.said("starts from mae at step 2 of 4, which is not its end"), "\(run.words)")
    // Now mae goes on to its end, and the head was made from older weights.
    XCTAssertEqual(try run.train { $0.resume = .auto }, .done)
    XCTAssertTrue(
      run.said("stage 2/3 head was made from mae/step-00000002.h5, and mae is now at mae/step-00000004.h5"),
      "\(run.words)")
  }

  func testAFileIsGoneOnFromInItsStageAndThenTheLaterOnesFollow() throws {
    let run = try StagedRun()
    XCTAssertEqual(try run.train(["stages.head.train.stop_after=4"]), .stoppedEarly)
    let file = run.checkpoint("head", 2)
    expect(
      failure {
        try run.train {
          $0.resume = .file(file); $0.stage = "tune"
        }
      }, .usage, "of stage head", "tune")
    XCTAssertEqual(try run.train { $0.resume = .file(file) }, .done)
    XCTAssertTrue(run.said("resumed from \(file)"), "\(run.words)")
    XCTAssertFalse(run.said("stage 1/3 mae"), "\(run.words)")
    XCTAssertEqual(try run.steps(), allSteps)
    expect(
      failure { try run.train(["method=mae", "stages=[mae]"]) { $0.resume = .file(file) } }, .badConfig, "'stages'")
  }

  func testAStageStartsFromAFileOrARunDirectory() throws {
    let first = try StagedRun()
    XCTAssertEqual(try first.train { $0.stage = "mae" }, .done)
    for origin in [first.checkpoint("mae", 2), first.directory] {
      let run = try StagedRun()
      XCTAssertEqual(try run.train(["stages=[head,tune]", "stages.head.from=\(origin)"]), .done)
      XCTAssertTrue(run.said("stage 1/2 head: encoder ("), "\(run.words)")
      XCTAssertEqual(try run.files("checkpoints").filter { !$0.hasPrefix("last") }, ["head", "tune"])
    }
    let last = try StagedRun()
    XCTAssertEqual(
      try last.train(["stages=[head]"]) { $0.initFrom = first.checkpoint("mae", 4) }, .done)
    XCTAssertEqual(try last.weights("head", 5)["student/cls_token"], try first.weights("mae", 4)["student/cls_token"])
    expect(
      failure { try StagedRun().train(["stages=[head]", "stages.head.from=runs/none"]) }, .inputMissing, "runs/none",
      "stages.head.from=runs/none", "mae, head, tune")
    expect(
      failure { try StagedRun().train(["stages=[head]", "stages.head.from=mae"]) }, .inputMissing, "--stage mae")
    let empty = temporaryDirectory("empty")
    expect(
      failure { try StagedRun().train(["stages=[head]", "stages.head.from=\(empty)"]) }, .inputMissing,
      "no whole checkpoint")
  }

  func testAnOriginThatDoesNotFitShowsWhatDiffers() throws {
    let first = try StagedRun()
    XCTAssertEqual(try first.train { $0.stage = "mae" }, .done)
    let origin = first.checkpoint("mae", 4)
    expect(
      failure { try StagedRun().train(["stages=[head]", "stages.head.from=\(origin)", "model.depth=2"]) }, .badData,
      "does not fit encoder of stage 1/1 head", "missing     student/blocks.1.", "matched", origin)
    // A head of another width is no part of this checkpoint: it starts from scratch, and that is said.
    XCTAssertEqual(try first.train { $0.stage = "head" }, .done)
    XCTAssertEqual(try first.train(["fake-ct.outputs=6"]) { $0.stage = "tune" }, .done)
    XCTAssertTrue(first.said("stage 3/3 tune: head starts from scratch: 1 of its 3 tensors fit"), "\(first.words)")
    XCTAssertEqual(FakeHead.history.last, "tune inherited encoder at 0", "not even the counter that would have fitted")
  }

  func testAStageThatStartsFromNothingIsToldSo() throws {
    let run = try StagedRun()
    XCTAssertEqual(try run.train(["stages=[head]", "stages.head.from=null"]), .done)
    XCTAssertEqual(FakeHead.history.last, "head inherited  at 0")
  }

  func testOverwriteNeverRemovesWhatTheRunIsToStartFrom() throws {
    let run = try StagedRun()
    XCTAssertEqual(try run.train(), .done)
    let own = run.checkpoint("head", 4)
    for change in [["stages.head.from=\(own)"], []] {
      let fault = failure {
        try run.train(change) {
          $0.overwrite = true
          $0.stage = "head"
          if change.isEmpty { $0.initFrom = own }
        }
      }
      expect(fault, .usage, "--overwrite would remove", own)
    }
    XCTAssertEqual(try run.files("checkpoints/head").count, 3)
    // A whole run that lists two stages of three replaces these two: the third is what they start from.
    XCTAssertEqual(
      try run.train(["stages=[head,tune]", "stages.head.from=mae"]) { $0.overwrite = true }, .done)
    XCTAssertEqual(try run.files("checkpoints/mae").count, 2)
  }

  func testMicroBatchesAreRefusedWhereTheBatchIsCoupled() throws {
    expect(
      failure { try StagedRun().train(["train.micro_batch=2"]) }, .badConfig, "stage head", "BatchNorm, negatives",
      "train.micro_batch=2")
    XCTAssertEqual(try StagedRun().train(["stages.mae.train.micro_batch=2"]) { $0.stage = "mae" }, .done)
  }

  func testMistakesOfLaterStagesAreFoundBeforeTheFirstStep() throws {
    for (wrong, words) in [
      ("stages.tune.fake-ct.output=3", "'stages.tune.fake-ct.outputs'"),
      ("stages.tune.train.batch_size=65", "only 64 images"),
      ("stages.tune.data.train=/no/such/folder", "/no/such/folder"), ("stages.tune.fake-ct.outputs=0", "1 ... 64"),
    ] {
      let run = try StagedRun()
      let fault = failure { try run.train([wrong]) }
      XCTAssertTrue(fault.description.contains(words), fault.description)
      XCTAssertFalse(FileManager.default.fileExists(atPath: run.directory), wrong)
    }
  }

  func testADryRunShowsEveryStageAndWritesNothing() throws {
    let run = try StagedRun()
    XCTAssertEqual(try run.train { $0.dryRun = true }, .done)
    for title in ["fake-ct stage 1/3 mae · ", "fake-ct stage 2/3 head · ", "fake-ct stage 3/3 tune · "] {
      XCTAssertTrue(run.said(title), "\(run.words)")
    }
    XCTAssertTrue(run.said("M trained)"), "\(run.words)")
    XCTAssertFalse(FileManager.default.fileExists(atPath: run.directory))
  }

  func testTheResolvedFileRunsTheSameStages() throws {
    let run = try StagedRun()
    XCTAssertEqual(try run.train(["fake-ct.outputs=5", "stages.head.optim.weight_decay=0.2"]), .done)
    let again = try StagedRun()
    XCTAssertEqual(
      try again.train {
        $0.configFiles = [run.directory + "/config.resolved.yaml"]
        $0.overrides = []
      }, .done)
    XCTAssertEqual(try again.steps(), allSteps)
    XCTAssertEqual(try again.weights("tune", 3), try run.weights("tune", 3))
  }
}
