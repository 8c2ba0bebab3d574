import Basics
import TestKit
import XCTest

/// What runs write about their costs, and that writing changes nothing.
final class CostTests: XCTestCase {
  private func accounts(_ run: TinyRun) throws -> [JSON] {
    try String(contentsOfFile: run.directory + "/metrics.jsonl", encoding: .utf8).split(separator: "\n")
      .map { try JSON.parse(String($0)) }.filter { $0["kind"] == .string("cost") }
  }

  private func spans(_ run: TinyRun) throws -> [[Int]] {
    try accounts(run).map { [$0["from_step"]?.intValue ?? -1, $0["step"]?.intValue ?? -1] }
  }

  func testSumsOverRanksAreTheTotals() throws {
    let run = TinyRun()
    XCTAssertEqual(run.train(steps: 12, ranks: 3).code, 0)  // 8 images on 3 ranks, 8 steps an epoch
    XCTAssertEqual(try spans(run), [[0, 8], [8, 12]])
    for account in try accounts(run) {
      let steps = try XCTUnwrap(account["steps"]?.intValue)
      XCTAssertEqual(account["images"]?.intValue, 8 * steps)
      XCTAssertEqual(account["threads"]?.intValue, 3)
      XCTAssertEqual(account["nodes"]?.intValue, 1)
      let wall = try XCTUnwrap(account["wall_s"]?.doubleValue)
      XCTAssertEqual(account["node_hours"]?.doubleValue ?? 0, wall / 3600, accuracy: 1e-12)
      // Ranks settle at the same moment, but each by its own clock.
      XCTAssertEqual(account["core_hours"]?.doubleValue ?? 0, 3 * wall / 3600, accuracy: 0.5 * wall / 3600)
      XCTAssertLessThanOrEqual(account["step_s"]?.doubleValue ?? .infinity, wall)
      let memory = try ["min", "mean", "max"].map { try XCTUnwrap(account["rss_mib_\($0)"]?.doubleValue) }
      XCTAssertEqual(memory, memory.sorted())
    }
  }

  func testARunThatGoesOnHasAnAccountOfEveryStep() throws {
    let run = TinyRun()
    XCTAssertEqual(run.train(steps: 12, ["train.stop_after=3"]).code, 75)
    XCTAssertEqual(try spans(run), [[0, 3]])
    XCTAssertEqual(run.train(steps: 12, ["--resume", "auto", "train.stop_after=7"]).code, 75)
    XCTAssertEqual(run.train(steps: 12, ["--resume", "auto"]).code, 0)
    XCTAssertEqual(try spans(run), [[0, 3], [3, 8], [8, 10], [10, 12]])
  }

  func testLogsOnAndOffLeaveTheSameWeights() throws {
    let silent = ["log.every=null", "log.cost=false"]
    let watching = ["log.every=1 step", "log.cost=true", "log.images.every=2 steps", "eval.health.every=3 steps"]
    for ranks in [1, 2] {
      let (off, on) = (TinyRun(), TinyRun())
      XCTAssertEqual(off.train(steps: 9, ranks: ranks, silent).code, 0)
      XCTAssertEqual(on.train(steps: 9, ranks: ranks, watching).code, 0)
      XCTAssertTrue(try accounts(off).isEmpty)
      XCTAssertEqual(try spans(on), [[0, 8], [8, 9]])
      let weights = try off.tensors(9)
      XCTAssertGreaterThan(weights.count, 20)
      XCTAssertEqual(try on.tensors(9), weights)
    }
  }
}
