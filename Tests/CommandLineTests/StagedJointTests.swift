import Basics
import Foundation
import TestKit
import XCTest

/// MAE and NNCLR in one pre-training: the stage `mae` with `nnclr.weight`.
final class StagedJointTests: XCTestCase {
  private let joint = [
    "stages=[mae]", "augment.views=2", "stages.mae.nnclr.weight=0.001", "stages.mae.max_steps=4",
  ]

  private func train(_ run: StagedRun, ranks: Int = 2, _ more: [String] = []) -> ProgramRun {
    run.train(ranks: ranks, joint + more)
  }

  private func trace(_ run: StagedRun, _ name: String, _ more: [String]) throws -> [String: StoredArray] {
    try run.trace(name, ranks: 2, joint + more)
  }

  func testItRunsTheSameOnAllRanksAndResumesBitForBit() throws {
    let (whole, cut, other) = (StagedRun(), StagedRun(), StagedRun())
    expect(train(whole, ["eval.health.every=1 steps"]), code: 0)
    expect(train(cut, ["train.stop_after=2"]), code: 75)
    expect(train(cut, ["--resume", "auto"]), code: 0)
    try cut.saved("mae", 4).expectSame(as: try whole.saved("mae", 4), "resumed")
    XCTAssertFalse(try whole.saved("mae", 4).below("queue").isEmpty)
    expect(train(other, ranks: 3, ["queue.placement=global"]), code: 0)
    for (a, b) in zip(try other.series("loss"), try whole.series("loss")) { XCTAssertEqual(a, b, accuracy: 1e-5 * b) }
    XCTAssertEqual(try whole.series("head_std", in: "eval").count, 4)
    for (loss, parts) in zip(
      try whole.series("loss"), zip(try whole.series("loss_reconstruction"), try whole.series("loss_nnclr")))
    {
      XCTAssertEqual(loss, parts.0 + 0.001 * parts.1, accuracy: 1e-6 * loss)
      XCTAssertGreaterThan(parts.1, 0.5)
    }
  }

  func testDetachedTheEncoderLearnsNothingFromTheHead() throws {
    let run = StagedRun()
    let plain = try trace(run, "plain.h5", ["stages.mae.nnclr.weight=null"]).below("gradients")
    let detached = try trace(run, "detached.h5", ["stages.mae.nnclr.detached=true"]).below("gradients")
    let coupled = try trace(run, "coupled.h5", []).below("gradients")
    detached.filter { plain[$0.key] != nil }.expectSame(as: plain, "gradients of encoder and decoder")
    for gradients in [detached, coupled] {
      XCTAssertTrue(gradients["projector.fc1.weight"]?.floats.contains { $0 != 0 } ?? false)
    }
    XCTAssertNotEqual(coupled["blocks.0.attn.qkv.weight"], plain["blocks.0.attn.qkv.weight"])
    let untouched = coupled.filter { $0.key.hasPrefix("decoder") }
    untouched.expectSame(as: plain.filter { $0.key.hasPrefix("decoder") }, "the decoder sees no contrast")
  }

  func testTheHeadOfThisStageMayHaveARuleOfItsOwn() throws {
    let run = StagedRun()
    let rule = ["stages.mae.optim.head.base_lr=0.04", "stages.mae.optim.head.weight_decay=0"]
    let (plain, own) = (try trace(run, "plain.h5", []), try trace(run, "own.h5", rule))
    func same(_ name: String) -> Bool { plain["weights_after/\(name)"] == own["weights_after/\(name)"] }
    XCTAssertTrue(same("blocks.1.attn.qkv.weight"))
    for name in ["projector.fc1.weight", "projector.bn1.weight", "predictor.fc2.weight"] {
      let before = try XCTUnwrap(plain["weights_before/\(name)"]).floats
      let decay = name.hasSuffix("bn1.weight") ? 0 : 0.05 * 0.02 * 8 * 2 / 256 / 3
      let slow = try zip(XCTUnwrap(plain["weights_after/\(name)"]).floats, before).map { $0 - $1 * Float(1 - decay) }
      let fast = try zip(XCTUnwrap(own["weights_after/\(name)"]).floats, before).map { $0 - $1 }
      XCTAssertLessThan(relativeError(fast, slow.map { 2 * $0 }), 1e-3, name)
    }
    let refused = run.train(joint + rule + ["stages.mae.nnclr.weight=null"])
    expect(refused, code: 78, "'optim.head.base_lr' has no meaning for mae")
  }

  func testItsSlowProjectorBeginsWithTheHeadItStartsFrom() throws {
    let run = StagedRun()
    expect(train(run), code: 0)
    let origin = "stages.mae.from=\(run.checkpoint("mae", 4))"
    let record = try trace(run, "from.h5", [origin, "nnclr.target_ema=0.99"])
    let projector = try run.saved("mae", 4).below("student").filter { $0.key.hasPrefix("projector.") }
    record.below("state_before/target").expectSame(as: projector, "g_t")
    record.below("state_before/queue").expectSame(as: try run.saved("mae", 4).below("queue"), "queue")
    // A plain MAE has no head, and is as good a start.
    let plain = StagedRun()
    expect(train(plain, ["stages.mae.nnclr.weight=null"]), code: 0)
    let next = train(run, ["--overwrite", "stages.mae.from=\(plain.place)/\(plain.checkpoint("mae", 4))"])
    expect(
      next, code: 0, "stage 1/1 mae: head starts from scratch", "stage 1/1 mae: encoder (",
      "stage 1/1 mae: decoder (")
  }
}
