import Basics
import Foundation
import TestKit
import XCTest

/// All stages of MAE-CT by one command: what each leaves, on any number of ranks and for every placement of the queue.
final class StagedRunTests: XCTestCase {
  private static let observed = [
    "nn_similarity", "queue_age", "pick_own_class", "nn_accuracy", "alignment", "uniformity",
  ]
  private static let placements = ["node", "global", "replicated"]

  func testInvariant10OneCommandRunsAllStagesOnOneToThreeRanks() throws {
    var reference: [Double] = []
    var head: [Double] = []
    for ranks in 1...3 {
      let run = StagedRun()
      let outcome = run.train(ranks: ranks, ["eval.health.every=1 steps"])
      expect(outcome, code: 0, "stage 1/3 mae is finished at step 3", "stage 2/3 head is finished at step 4")
      XCTAssertEqual(outcome.lines.filter { $0.hasPrefix("FOM ") }.count, 1, outcome.output)
      for (stage, steps) in StagedRun.lengths {
        let file = "\(run.place)/\(run.checkpoint(stage, steps))"
        expect(ProgramRun.sslmpi(["inspect", file, "--verify"]), code: 0)
        XCTAssertEqual(try run.metrics(stage: stage).map { $0["step"]?.intValue }, (1...steps).map { $0 }, stage)
      }
      for stage in ["head", "tune"] {
        for name in Self.observed {
          XCTAssertTrue(try run.series(name, stage: stage).allSatisfy(\.isFinite), "\(name) of \(stage)")
        }
        for line in try run.metrics("eval", stage: stage) {
          XCTAssertGreaterThan(try XCTUnwrap(line["head_std"]?.doubleValue), 0, line.line)
        }
        XCTAssertEqual(try run.metrics("eval", stage: stage).count, 4)
      }
      XCTAssertTrue(try run.metrics(stage: "mae").allSatisfy { $0["nn_similarity"] == nil })
      let losses = try run.series("loss")
      XCTAssertEqual(losses.count, 11)
      if ranks == 1 { (reference, head) = (losses, try run.series("head_std", in: "eval")) }
      for (step, (loss, expected)) in zip(losses, reference).enumerated() {
        XCTAssertEqual(loss, expected, accuracy: 1e-5 * expected, "loss \(step) on \(ranks) ranks")
      }
      for (value, expected) in zip(try run.series("head_std", in: "eval"), head) {
        XCTAssertEqual(value, expected, accuracy: 1e-4 * expected, "head_std on \(ranks) ranks")
      }
    }
  }

  func testThePlacementOfTheQueueChangesNoBit() throws {
    for ranks in [1, 3] {
      let runs = try Self.placements.map { placement in
        let run = StagedRun()
        expect(run.train(ranks: ranks, ["queue.placement=\(placement)"]), code: 0)
        return (
          losses: try run.series("loss"), saved: try run.saved("tune", 4),
          ages: try run.series("queue_age", stage: "tune")
        )
      }
      XCTAssertEqual(runs[0].losses.count, 11)
      for (placement, run) in zip(Self.placements, runs).dropFirst() {
        XCTAssertEqual(run.losses, runs[0].losses, "\(placement) on \(ranks) ranks")
        XCTAssertEqual(run.ages, runs[0].ages, "\(placement) on \(ranks) ranks")
        run.saved.expectSame(as: runs[0].saved, "\(placement) on \(ranks) ranks")
      }
    }
  }

  func testInvariant09WhatIsFrozenStaysBitIdentical() throws {
    let run = StagedRun()
    expect(run.train(ranks: 2), code: 0)
    let (mae, head, tune) = try (
      run.saved("mae", 3).below("student"), run.saved("head", 4).below("student"), run.saved("tune", 4).below("student")
    )
    let encoder = mae.filter { !$0.key.hasPrefix("decoder") && $0.key != "mask_token" }
    XCTAssertEqual(encoder.count, 29)
    head.filter { encoder[$0.key] != nil }.expectSame(as: encoder, "the encoder after head")
    for (name, array) in encoder {
      let isFrozen =
        name.hasPrefix("blocks.0.") || ["cls_token", "norm.bias"].contains(name) || name.hasPrefix("patch_embed.")
      XCTAssertEqual(tune[name] == array, isFrozen, name)
    }
    // The head learns in both stages.
    for name in ["projector.fc1.weight", "projector.bn3.weight", "predictor.fc2.weight"] {
      XCTAssertNotNil(head[name], name)
      XCTAssertNotEqual(head[name], tune[name], name)
    }
    // What stage tune is run for lies between where it began and where it is.
    let slow = try run.saved("tune", 4).below("ema")
    XCTAssertEqual(slow.keys.sorted(), encoder.keys.sorted())
    XCTAssertEqual(slow["blocks.0.attn.qkv.weight"], encoder["blocks.0.attn.qkv.weight"])
    for name in ["blocks.1.attn.qkv.weight", "norm.weight"] {
      XCTAssertNotEqual(slow[name], encoder[name], name)
      XCTAssertNotEqual(slow[name], tune[name], name)
    }
  }

  func testAStageIsOverwrittenAndTheOthersStay() throws {
    let run = StagedRun()
    expect(run.train(ranks: 2), code: 0)
    let (mae, head, tune) = try (run.saved("mae", 3), run.saved("head", 4), run.saved("tune", 4))
    expect(run.train(ranks: 2, ["--stage", "head"]), code: 73, "--overwrite", "--resume auto")
    expect(run.train(ranks: 2, ["--overwrite", "--stage", "head"]), code: 0, "stage 2/3 head: encoder (29 tensors)")
    try run.saved("mae", 3).expectSame(as: mae, "mae")
    try run.saved("head", 4).expectSame(as: head, "head, made again from the same encoder")
    try run.saved("tune", 4).expectSame(as: tune, "tune")
    expect(
      run.train(ranks: 2, ["--overwrite", "--stage", "head", "nnclr.temperature=0.3"]), code: 0)
    XCTAssertNotEqual(try run.saved("head", 4)["student/projector.fc1.weight"], head["student/projector.fc1.weight"])
    expect(run.train(ranks: 2, ["--overwrite", "--stage", "tune"]), code: 0)
    XCTAssertNotEqual(try run.saved("tune", 4)["student/projector.fc1.weight"], tune["student/projector.fc1.weight"])
  }
}

extension StagedRun {
  /// A number of each line of a kind that has it.
  func series(_ key: String, in kind: String) throws -> [Double] {
    try metrics(kind).compactMap { $0[key]?.doubleValue }
  }
}
