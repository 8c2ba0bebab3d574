import Basics
import Foundation
import TestKit
import XCTest

/// Stopping inside `tune` and going on: nothing that the numbers depend on is lost, or begins anew.
final class StagedResumeTests: XCTestCase {
  private let stop = ["stages.tune.train.stop_after=2"]

  /// A whole run, and one that is stopped after two steps of `tune`.
  private func pair(ranks: Int, _ more: [String] = []) -> (whole: StagedRun, cut: StagedRun) {
    let (whole, cut) = (StagedRun(), StagedRun())
    expect(whole.train(ranks: ranks, more), code: 0)
    expect(cut.train(ranks: ranks, more + stop), code: 75, "stopped at step 2 of stage tune", "--resume auto")
    return (whole, cut)
  }

  func testInvariant13ResumingInsideTuneIsBitIdentical() throws {
    for (ranks, placement) in [(1, "replicated"), (2, "global"), (3, "node")] {
      let (whole, cut) = pair(ranks: ranks, ["queue.placement=\(placement)"])
      let outcome = cut.train(ranks: ranks, ["queue.placement=\(placement)", "--resume", "auto"])
      expect(outcome, code: 0, "resumed from run/checkpoints/tune/step-00000002.h5", "stage 2/3 head is finished")
      let found = try cut.saved("tune", 4)
      found.expectSame(as: try whole.saved("tune", 4), "\(placement) on \(ranks) ranks")
      for folder in ["student", "optimizer", "target", "target_buffers", "buffers", "ema", "queue"] {
        XCTAssertFalse(found.below(folder).isEmpty, folder)
      }
      for key in ["loss", "nn_similarity", "queue_age", "pick_own_class", "nn_accuracy", "alignment", "uniformity"] {
        XCTAssertEqual(try cut.series(key, stage: "tune"), try whole.series(key, stage: "tune"), key)
      }
    }
  }

  func testResumingInsideTuneOnOtherRanksAndPlacementsIsTheSameWithinRounding() throws {
    let whole = StagedRun()
    expect(whole.train(ranks: 2), code: 0)
    let expected = try whole.saved("tune", 4)
    for (ranks, placement) in [(3, "global"), (1, "replicated"), (2, "global")] {
      let cut = StagedRun()
      expect(cut.train(ranks: 2, stop), code: 75)
      expect(cut.train(ranks: ranks, ["queue.placement=\(placement)", "--resume", "auto"]), code: 0)
      let found = try cut.saved("tune", 4)
      found.expectClose(to: expected, relative: 1e-5, "\(placement) on \(ranks) ranks")
      if ranks == 2 { found.expectSame(as: expected, "another placement on the same ranks") }
    }
  }

  /// Spec section 7, row 12: the authors' resume puts g_t back to g, f_m back to f, and begins the dice anew.
  func testTargetAverageAndDiceGoOnAsTheyWere() throws {
    let whole = StagedRun()
    expect(whole.train(ranks: 2, ["checkpoint.every=1 steps"]), code: 0)
    let cut = StagedRun()
    expect(cut.train(ranks: 2, stop), code: 75)
    let record = try cut.trace("step.h5", ranks: 2, ["--stage", "tune", "--resume", "auto"])
    let (weights, before) = (record.below("weights_before"), record.below("state_before"))

    let target = before.below("target")
    target.expectSame(as: try whole.saved("tune", 2).below("target"), "g_t after resuming")
    for name in ["projector.fc1.weight", "projector.fc3.weight", "projector.bn1.weight"] {
      XCTAssertNotNil(target[name], name)
      XCTAssertNotEqual(target[name], weights[name], "g_t was put back to g: \(name)")
    }
    before.below("target_buffers").expectSame(
      as: before.below("buffers").filter { $0.key.hasPrefix("projector.") }, "statistics are copied")

    let slow = before.below("ema")
    slow.expectSame(as: try whole.saved("tune", 2).below("ema"), "f_m after resuming")
    for name in ["blocks.1.attn.qkv.weight", "blocks.1.mlp.fc2.bias", "norm.weight"] {
      XCTAssertNotNil(slow[name], name)
      XCTAssertNotEqual(slow[name], weights[name], "f_m was put back to f: \(name)")
    }

    // The step recorded after resuming is the third of the uninterrupted run: its picks, loss and everything it leaves.
    let third = try whole.trace("third.h5", ranks: 2, ["--stage", "tune", "--resume", whole.checkpoint("tune", 2)])
    let first = try whole.trace("first.h5", ranks: 2, ["--stage", "tune"])
    record.below("draws").expectSame(as: third.below("draws"), "draws after resuming")
    XCTAssertEqual(record["loss/total"]?.doubles, [try whole.series("loss", stage: "tune")[2]])
    let after = try whole.saved("tune", 3)
    record.below("weights_after").expectSame(as: after.below("student"), "weights after the third step")
    for folder in ["target", "target_buffers", "buffers", "ema", "queue"] {
      record.below("state_after").below(folder).expectSame(as: after.below(folder), folder)
    }
    // An image's dice are other ones in the next epoch: a run that began them anew would be seen.
    let second = try whole.trace("second.h5", ranks: 2, ["--stage", "tune", "--resume", whole.checkpoint("tune", 1)])
    let fourth = try whole.trace("fourth.h5", ranks: 2, ["--stage", "tune", "--resume", whole.checkpoint("tune", 3)])
    for view in 0...1 {
      let epoch = try [first, second, third].flatMap { try picks(of: $0, view) }
      XCTAssertEqual(epoch.count, 24, "an epoch sees every image once")
      let early = Dictionary(uniqueKeysWithValues: epoch.map { ($0.image, $0.pick) })
      XCTAssertTrue(early.values.allSatisfy { (0..<4).contains($0) } && Set(early.values).count > 1, "\(early)")
      let late = try picks(of: fourth, view)
      XCTAssertTrue(late.contains { early[$0.image] != $0.pick }, "view \(view) has the dice of the epoch before")
    }
  }

  private func picks(of record: [String: StoredArray], _ view: Int) throws -> [(image: Int, pick: Int)] {
    let images = try XCTUnwrap(record["samples/index"]).integers
    return zip(images, try XCTUnwrap(record["draws/nn_pick/\(view)"]).integers).map { (image: $0, pick: $1) }
  }

  func testAFileOfTheHeadIsGoneOnFromAndTuneFollows() throws {
    let (whole, cut) = (StagedRun(), StagedRun())
    expect(whole.train(ranks: 2), code: 0)
    expect(cut.train(ranks: 2, ["checkpoint.every=1 steps", "stages.head.train.stop_after=3"]), code: 75)
    let file = cut.checkpoint("head", 2)
    let wrong = cut.train(ranks: 2, ["--resume", file, "--stage", "tune"])
    expect(wrong, code: 64, "the checkpoint is of stage head", "stages.tune.from=")
    let outcome = cut.train(ranks: 2, ["--resume", file])
    expect(outcome, code: 0, "resumed from \(file)", "stage 2/3 head is finished at step 4")
    XCTAssertFalse(outcome.errors.contains("stage 1/3 mae"), outcome.errors)
    try cut.saved("tune", 4).expectSame(as: try whole.saved("tune", 4), "tune after the head was gone on from")
    // A tune that is there already is made from the head as it was before, and that is said.
    expect(
      cut.train(ranks: 2, ["--resume", file]), code: 0,
      "warning: stage 3/3 tune was made from head/step-00000004.h5, and head has been trained since",
      "--stage tune --overwrite")
  }

  func testADamagedNewestCheckpointOfTuneIsPassedOver() throws {
    let whole = StagedRun()
    expect(whole.train(ranks: 2), code: 0)
    let cut = StagedRun()
    expect(cut.train(ranks: 2, ["checkpoint.every=1 steps", "stages.tune.train.stop_after=3"]), code: 75)
    try cut.damage(cut.checkpoint("tune", 3))
    expect(
      cut.train(ranks: 2, ["--resume", "auto"]), code: 0,
      "warning: run/checkpoints/tune/step-00000003.h5 does not verify",
      "resumed from run/checkpoints/tune/step-00000002.h5")
    try cut.saved("tune", 4).expectSame(as: try whole.saved("tune", 4), "gone on from the one before")
  }

  /// The other ranks wait for the sums of BatchNorm, of which a step of `tune` has many more than of anything else.
  func testKillingARankInsideTuneEndsTheJobAndTheLastCheckpointResumes() throws {
    let run = StagedRun()
    let endless = ["stages.tune.max_steps=1000000", "stages.tune.checkpoint.every=3 steps"]
    let started = ProgramRun.start(run.arguments(endless), ranks: 3, in: run.place)
    started.waitForErrors(containing: "stage 3/3 tune [8/")
    let ranks = started.ranks
    XCTAssertEqual(ranks.count, 3, started.errorsSoFar)
    kill(try XCTUnwrap(ranks.last), SIGKILL)
    XCTAssertNotEqual(started.wait().code, 0)
    let shared = try FileManager.default.contentsOfDirectory(atPath: "/dev/shm")
    XCTAssertEqual(shared.filter { name in ranks.contains { name.hasPrefix("sslmpi-\($0)-") } }, [])
    let next = run.train(ranks: 3, endless + ["--resume", "auto", "stages.tune.train.stop_after=1"])
    expect(next, code: 75, "resumed from run/checkpoints/tune/step-")
  }
}
