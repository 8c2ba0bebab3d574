import Basics
import Messaging
import Settings
import TestKit
import XCTest

@testable import Evaluation

final class CostTests: XCTestCase {
  /// The line of an account of four images a step.
  private func account(_ stage: String, _ from: Int, _ to: Int, wall: Double, more: [(String, JSON)] = []) -> String {
    let steps = to - from
    let fields: [(String, JSON)] = [
      ("kind", .string("cost")), ("stage", .string(stage)), ("step", .int(to)), ("from_step", .int(from)),
      ("steps", .int(steps)), ("total_steps", .int(10)), ("epoch", .double(Double(to) / 4)),
      ("images", .int(4 * steps)),
      ("effective_epochs", .double(Double(steps) / 4)), ("wall_s", .double(wall)), ("step_s", .double(wall / 2)),
      ("step_ms_p50", .double(Double(10 * to))), ("step_ms_p95", .double(Double(20 * to))),
      ("comm_share", .double(0.1 * Double(to))), ("data_share", .double(0.25)), ("rss_mib_max", .double(100 + wall)),
      ("threads", .int(6)), ("nodes", .int(2)), ("core_hours", .double(6 * wall / 3600)),
      ("node_hours", .double(2 * wall / 3600)), ("flops_per_image", .double(1e9)),
    ]
    return JSON.object(fields + more).line + "\n"
  }

  private func score(_ stage: String, _ step: Int, _ knn: Double) -> String {
    #"{"kind":"eval","stage":"\#(stage)","step":\#(step),"knn_top1":\#(knn)}"# + "\n"
  }

  private var metrics: String {
    score("mae", 0, 10) + #"{"kind":"train","stage":"mae","step":1,"loss":1}"# + "\n"
      + account("mae", 0, 4, wall: 36) + score("mae", 4, 20) + account("mae", 4, 5, wall: 18)
      + account("head", 0, 4, wall: 72) + score("head", 3, 30)
  }

  private func record(_ metrics: String, reports: JSON = .array([])) throws -> CostRecord {
    try CostRecord(name: "run", metrics: metrics, reports: reports, place: "run/metrics.jsonl")
  }

  func testTotalsAreTheSumsOfTheAccounts() throws {
    let costs = try record(metrics).summary
    XCTAssertEqual(costs.steps, 9)
    XCTAssertEqual(costs.images, 36)
    XCTAssertEqual(costs.wallSeconds, 126)
    XCTAssertEqual(costs.nodeHours, 0.07, accuracy: 1e-12)
    XCTAssertEqual(costs.coreHours, 0.21, accuracy: 1e-12)
    XCTAssertEqual(costs.effectiveEpochs, 2.25)
    XCTAssertEqual(costs.imagesPerSecond, 36 / 63.0, accuracy: 1e-12)
    XCTAssertEqual(costs.flopsPerSecond, 36e9 / 63, accuracy: 1e-3)
    XCTAssertEqual(costs.communicationShare, (0.4 * 18 + 0.5 * 9 + 0.4 * 36) / 63, accuracy: 1e-12)
    XCTAssertEqual(costs.largestMemory, 172)
    XCTAssertEqual(costs.plannedSteps, 20)
    // Of nine steps eight took 40 ms in the middle, one 50.
    XCTAssertEqual(costs.typical(\.stepP50), 40)
    XCTAssertEqual(costs.typical(\.stepP95), 80)
  }

  func testWhatWasSpentAtAStepGrowsInsideAnAccount() throws {
    let costs = try record(metrics).summary
    XCTAssertEqual(costs.spent(in: "mae", at: 0).nodeHours, 0)
    XCTAssertEqual(costs.spent(in: "mae", at: 1).nodeHours, 0.005, accuracy: 1e-12)
    XCTAssertEqual(costs.spent(in: "mae", at: 4).nodeHours, 0.02, accuracy: 1e-12)
    XCTAssertEqual(costs.spent(in: "head", at: 0).nodeHours, 0.03, accuracy: 1e-12)
    XCTAssertEqual(costs.spent(in: "head", at: 3).coreHours, 0.18, accuracy: 1e-12)
    XCTAssertEqual(costs.spent(in: "head", at: 4).effectiveEpochs, 2.25, accuracy: 1e-12)
  }

  func testTablesHoldAccuracyOverTimeAndOneLineARun() throws {
    let reports = JSON.array([
      .object([("headline", .array([.string("linear.best")])), ("metrics", .object([("linear.best", .double(55))]))]),
      .object([("headline", .array([.string("knn.k10.top1")])), ("metrics", .object([("knn.k10.top1", .double(31))]))]),
    ])
    let record = try record(metrics, reports: reports)
    let accounts = CostTables.accounts(record).split(separator: "\n")
    XCTAssertEqual(accounts.count, 4)
    XCTAssertTrue(accounts.allSatisfy { $0.split(separator: ",").count == 19 })
    XCTAssertTrue(accounts[1].hasPrefix("mae,1.0,0,4,16,36.0,"), "\(accounts[1])")
    XCTAssertEqual(
      CostTables.accuracy(record),
      "stage,step,node_hours,core_hours,effective_epochs,knn\nmae,0,0.0,0.0,0.0,10.0\nmae,4,0.02,0.06,1.0,20.0\n"
        + "head,3,0.06,0.18,2.0,30.0\n")
    let runs = CostTables.runs([record, try self.record(metrics)]).split(
      separator: "\n", omittingEmptySubsequences: false)
    XCTAssertTrue(runs[0].hasPrefix("run,node_hours,core_hours,effective_epochs,images_per_s,rss_mib_max,knn,linear,"))
    XCTAssertTrue(runs[1].hasSuffix(",172.0,31.0,55.0,,,,,"), "\(runs[1])")
    XCTAssertTrue(runs[2].hasSuffix(",172.0,30.0,,,,,,"), "the monitor's last score stands in: \(runs[2])")
  }

  func testAPlotShowsWhatThereIs() throws {
    func report(_ name: String, _ value: Double) -> JSON {
      .object([("headline", .array([.string(name)])), ("metrics", .object([(name, .double(value))]))])
    }
    let plain = CostPlot([try record(metrics)])
    XCTAssertEqual(plain.svg.split(separator: "<circle").count, 4, "three scores of the monitor")
    XCTAssertFalse(plain.svg.contains("dense"))
    let several = JSON.object([("records", .array([report("linear.top1", 50), report("promptseg.miou", 30)]))])
    let both = try record(metrics, reports: .array([.array([]), several]))
    XCTAssertEqual(CostPlot([both, both]).svg.split(separator: "<circle").count, 9)
    XCTAssertTrue(CostPlot([try record(account("mae", 0, 4, wall: 1))]).isEmpty)
  }

  func testTicksAreRoundAndInside() {
    let axis = Axis([0.13, 0.61], margin: 0)
    XCTAssertEqual(axis.ticks.map(axis.label), ["0.2", "0.3", "0.4", "0.5", "0.6"])
    XCTAssertEqual(axis.place(0.37), 0.5, accuracy: 1e-12)
    let wide = Axis([0, 1000], margin: 0.03)
    XCTAssertEqual(wide.ticks.map(wide.label), ["0", "500", "1000"])
    let single = Axis([5], margin: 0.15)
    XCTAssertTrue(single.ticks.contains(5))
    XCTAssertLessThan(single.lower, 5)
  }

  func testMissingStepsAreNamed() throws {
    XCTAssertNil(CostTables.gap(in: try record(metrics)))
    let gap = CostTables.gap(in: try record(account("mae", 0, 4, wall: 1) + account("mae", 6, 8, wall: 1)))
    XCTAssertTrue(gap?.contains("the steps 4 to 6 of mae") ?? false, gap ?? "")
  }

  func testARunDirectoryIsReadOnAllRanks() throws {
    let communicator = try sharedCommunicator()
    let directory = try communicator.broadcast(communicator.isCoordinator ? temporaryDirectory("cost") : "")
    if communicator.isCoordinator { try AtomicFile.write(metrics, to: directory + "/metrics.jsonl") }
    try communicator.barrier()
    let context = EvaluationContext([:], communicator: communicator)
    let cost = try Cost(SettingsTree.parse("with: \(directory)", named: "test").section(""), isTiny: true)
    XCTAssertThrowsError(try cost.evaluate(context)) { XCTAssertEqual(($0 as? Failure)?.code, .inputMissing) }
    context.runDirectory = directory
    let report = try cost.evaluate(context)
    XCTAssertEqual(report["cost.node_hours"] ?? 0, 0.07, accuracy: 1e-12)
    XCTAssertEqual(report["cost.mae.node_hours"] ?? 0, 0.03, accuracy: 1e-12)
    XCTAssertEqual(report["cost.head.planned_node_hours"] ?? 0, 0.1, accuracy: 1e-12)
    XCTAssertEqual(report["cost.images"], 36)
    XCTAssertEqual(report.files.map(\.name), ["epochs.csv", "accuracy.csv", "runs.csv", "plot.svg"])
    XCTAssertEqual(report.files[2].bytes.count { $0 == UInt8(ascii: "\n") }, 3, "two runs, one of them twice")
    XCTAssertEqual(report.headline.compactMap { report[$0] }.count, 5)
    context.runDirectory = directory + "/nowhere"
    XCTAssertThrowsError(try cost.evaluate(context)) { XCTAssertEqual(($0 as? Failure)?.code, .inputMissing) }
  }

  func testMetricsWithoutCostsOrWithDamagedLinesAreRefused() throws {
    func failure(_ metrics: String) -> Failure? {
      do { _ = try record(metrics) } catch { return error as? Failure }
      return nil
    }
    XCTAssertEqual(failure(score("mae", 0, 10))?.code, .inputMissing)
    XCTAssertTrue(failure(score("mae", 0, 10))?.hint?.contains("log.cost=true") ?? false)
    let torn = failure("{\"kind\":\n" + metrics)
    XCTAssertEqual(torn?.code, .badData)
    XCTAssertEqual(torn?.place, "run/metrics.jsonl:1")
    XCTAssertNil(failure(metrics + #"{"kind":"co"#), "a run that was killed while it wrote")
    let line = account("mae", 0, 4, wall: 36)
    XCTAssertTrue(
      failure(line.replacing("\"threads\":6,", with: ""))?.what.contains("no 'threads'") ?? false)
    XCTAssertTrue(failure(line.replacing("\"images\":16", with: "\"images\":1.5"))?.what.contains("no count") ?? false)
  }
}
