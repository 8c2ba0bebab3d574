import Basics
import Foundation
import Storage
import TestKit
import XCTest

/// `trace-step` of the stages of MAE-CT: what a stage takes over, and what its step draws, looks up and leaves.
final class StagedTraceTests: XCTestCase {
  private func trained(ranks: Int = 2, _ more: [String] = []) -> StagedRun {
    let run = StagedRun()
    expect(run.train(ranks: ranks, more), code: 0)
    return run
  }

  func testTuneTakesOverHeadStatisticsAndQueueAndItsCopiesBeginThere() throws {
    let run = trained()
    let head = try run.saved("head", 4)
    let record = try run.trace("step.h5", ranks: 2, ["--stage", "tune"])
    let (weights, before) = (record.below("weights_before"), record.below("state_before"))
    weights.expectSame(as: head.below("student"), "encoder and head")
    before.below("buffers").expectSame(as: head.below("buffers"), "statistics")
    XCTAssertEqual(before["buffers/projector.bn1.num_batches_tracked"]?.integers, [8], "two a step")
    before.below("queue").expectSame(as: head.below("queue"), "queue")
    XCTAssertEqual(before["queue/counters"]?.integers, [4 * 8 % 13, 4 * 8])
    XCTAssertEqual(before["queue/vectors"]?.shape, [13, 8])
    let projector = weights.filter { $0.key.hasPrefix("projector.") }
    before.below("target").expectSame(as: projector, "g_t begins as g")
    before.below("target_buffers").expectSame(
      as: before.below("buffers").filter { $0.key.hasPrefix("projector.") }, "with its statistics")
    let encoder = weights.filter { !$0.key.hasPrefix("projector.") && !$0.key.hasPrefix("predictor.") }
    XCTAssertEqual(encoder.count, 29)
    before.below("ema").expectSame(as: encoder, "f_m begins as f")
  }

  func testTheRecordOfTuneHoldsDrawsViewsQueueAndHead() throws {
    let run = trained()
    let record = try run.trace("step.h5", ranks: 2, ["--stage", "tune"])
    XCTAssertEqual(record["samples/index"]?.shape, [8])
    for view in 0...1 {
      XCTAssertEqual(record["views/\(view)"]?.shape, [8, 3, 16, 16])
      XCTAssertEqual(record["draws/nn_pick/\(view)"]?.shape, [8])
      let picks = try XCTUnwrap(record["draws/nn_pick/\(view)"]).integers
      XCTAssertTrue(picks.allSatisfy { (0..<4).contains($0) } && Set(picks).count > 1, "\(picks)")
      let slots = try XCTUnwrap(record["draws/nn_slot/\(view)"]).integers
      XCTAssertTrue(slots.count == 8 && slots.allSatisfy { (0..<13).contains($0) }, "\(slots)")
    }
    XCTAssertNotEqual(record["views/0"], record["views/1"])
    let (before, after) = (record.below("state_before"), record.below("state_after"))
    XCTAssertEqual(before.keys.sorted(), after.keys.sorted())
    for name in [
      "queue/vectors", "queue/ids", "queue/labels", "queue/counters", "buffers/projector.bn1.running_mean",
      "buffers/predictor.bn1.running_var", "target/projector.fc1.weight", "target_buffers/projector.bn3.running_mean",
      "ema/blocks.1.attn.qkv.weight",
    ] {
      XCTAssertNotNil(before[name], name)
      XCTAssertNotEqual(before[name], after[name], name)
    }
    // Eight images go into the slots from the pointer on, in the order of the samples, and the others stay.
    let first = try XCTUnwrap(before["queue/counters"]).integers[0]
    var ids = try XCTUnwrap(before["queue/ids"]).integers
    for (place, image) in try XCTUnwrap(record["samples/index"]).integers.enumerated() {
      ids[(first + place) % 13] = image
    }
    XCTAssertEqual(after["queue/ids"]?.integers, ids)
    XCTAssertEqual(after["queue/counters"]?.integers, [(first + 8) % 13, 40])
    let gradients = record.below("gradients")
    XCTAssertFalse(gradients.keys.contains { $0.hasPrefix("blocks.0.") || $0.hasPrefix("patch_embed.") })
    XCTAssertNotNil(gradients["blocks.1.attn.qkv.weight"])
    XCTAssertEqual(record["loss/total"], record["loss/nnclr"])
    let file = try H5File.open("\(run.place)/step.h5")
    let schedule = try file.attributes(of: "schedule").map { "\($0.name) \($0.value)" }.sorted()
    try file.close()
    let rate = 0.02 * 8 * 2 / 256 / 3  // the first of two steps of warm-up
    let expected: [(String, Double)] = [
      ("encoder_momentum", 0.9), ("head_lr", rate), ("head_weight_decay", 0.05), ("lr", rate), ("target_momentum", 0.9),
      ("temperature", 0.15), ("weight_decay", 0.05),
    ]
    XCTAssertEqual(schedule, expected.map { "\($0) \(AttributeValue.double($1))" })
  }

  func testPicksAndSlotsAreTheSameOnAllRanksAndPlacements() throws {
    let run = trained()
    var reference: [String: StoredArray] = [:]
    for ranks in [1, 3] {
      for placement in ["node", "global", "replicated"] {
        let record = try run.trace("step.h5", ranks: ranks, ["--stage", "tune", "queue.placement=\(placement)"])
        let decided = record.below("draws").merging(record.below("samples")) { $1 }.merging(record.below("views")) {
          $1
        }
        if reference.isEmpty {
          reference = record.below("draws").merging(record.below("samples")) { $1 }.merging(record.below("views")) {
            $1
          }
        }
        XCTAssertEqual(reference.count, 7)
        decided.expectSame(as: reference, "\(placement) on \(ranks) ranks")
      }
    }
  }

  func testTheHeadLooksUpTheNearestOneWithItsOwnProjector() throws {
    let run = trained()
    let record = try run.trace("step.h5", ranks: 2, ["--stage", "head"])
    XCTAssertEqual(record["draws/nn_pick/0"]?.integers, [Int](repeating: 0, count: 8))
    XCTAssertTrue(record.below("state_before").below("target").isEmpty)
    XCTAssertTrue(record.below("state_before").below("ema").isEmpty)
    XCTAssertEqual(record["state_before/queue/ids"]?.integers, [Int](repeating: -1, count: 13))
    XCTAssertEqual(record["state_before/queue/counters"]?.integers, [0, 0])
    XCTAssertTrue(
      record.below("gradients").keys.allSatisfy { $0.hasPrefix("projector.") || $0.hasPrefix("predictor.") })
    record.below("weights_before").filter { $0.key.hasPrefix("blocks.") }.expectSame(
      as: try run.saved("mae", 3).below("student").filter { $0.key.hasPrefix("blocks.") }, "the encoder of mae")
  }
}
