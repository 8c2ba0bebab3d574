import Basics
import Settings

/// What a run has cost, and what it got for that: from the metrics of its directory, without features.
///
/// - Source: spec/evaluation.md E11.
public struct Cost: Evaluator {
  /// `cost`
  public static let name = "cost"
  /// In one line.
  public static let question = "What did the run cost: node-hours, memory, arithmetic, and the accuracy that it bought?"

  /// Further runs, to stand beside this one.
  private let others: [String]

  /// Reads the parameters.
  ///
  /// - Throws: bad config for one that is wrong.
  public init(_ section: Section, isTiny: Bool) throws(Failure) {
    let words = try section.string("with", default: "", "further run directories to compare with, with commas between")
    others = words.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
  }

  /// None.
  public var feature: FeatureChoice { .none }

  /// Reads the metrics of the run directory.
  ///
  /// - Throws: input missing when there is no run directory, or its metrics hold no costs; bad data when these are
  ///   damaged.
  /// - Collective: all ranks.
  public func evaluate(_ context: EvaluationContext) throws -> EvaluationReport {
    guard let directory = context.runDirectory else {
      throw Failure(
        .inputMissing, "costs are those of a run, not of a checkpoint", at: "sslmpi eval cost",
        hint: "name the run directory: sslmpi eval cost runs/NAME")
    }
    let record = try CostRecord(directory, context.communicator)
    let runs = try [record] + others.map { try CostRecord($0, context.communicator) }
    return report(record, runs)
  }

  private func report(_ record: CostRecord, _ runs: [CostRecord]) -> EvaluationReport {
    var report = EvaluationReport()
    add(record.summary, to: &report, as: "cost")
    if record.stages.count > 1 {
      for stage in record.stages {
        let accounts = record.summary.accounts.filter { $0.stage == stage }
        add(CostSummary(accounts: accounts), to: &report, as: "cost.\(stage)")
      }
    }
    for run in runs.dropFirst() { add(run.summary, to: &report, as: "cost.with.\(run.name)") }
    report.headline = [
      "cost.node_hours", "cost.core_hours", "cost.images_per_s", "cost.rss_mib_max", "cost.flops_per_s",
    ]
    report.set("with", .array(others.map { .string($0) }))
    report.notes = [
      "from the first step to the last account; the start of the program and the last checkpoint are left out",
      "core-hours count compute threads, node-hours whole nodes",
    ]
    if let gap = CostTables.gap(in: record) { report.notes.append(gap) }
    report.files = [
      ("epochs.csv", Array(CostTables.accounts(record).utf8)),
      ("accuracy.csv", Array(CostTables.accuracy(record).utf8)),
      ("runs.csv", Array(CostTables.runs(runs).utf8)),
    ]
    let plot = CostPlot(runs)
    if !plot.isEmpty { report.files.append(("plot.svg", Array(plot.svg.utf8))) }
    return report
  }

  private func add(_ costs: CostSummary, to report: inout EvaluationReport, as name: String) {
    report.add("\(name).steps", count: costs.steps)
    report.add("\(name).images", count: costs.images)
    report.add("\(name).effective_epochs", costs.effectiveEpochs)
    report.add("\(name).hours", costs.wallSeconds / 3600)
    report.add("\(name).core_hours", costs.coreHours)
    report.add("\(name).node_hours", costs.nodeHours)
    // As the costs of a short run stand for those of a long one.
    report.add("\(name).planned_node_hours", costs.nodeHours * Double(costs.plannedSteps) / Double(max(costs.steps, 1)))
    report.add("\(name).images_per_s", costs.imagesPerSecond)
    report.add("\(name).step_ms_p50", costs.typical(\.stepP50))
    report.add("\(name).step_ms_p95", costs.typical(\.stepP95))
    report.add("\(name).comm_share", costs.communicationShare)
    report.add("\(name).data_share", costs.dataShare)
    report.add("\(name).rss_mib_max", costs.largestMemory)
    report.add("\(name).flops_per_image", costs.flopsPerImage)
    report.add("\(name).flops_per_s", costs.flopsPerSecond)
  }
}
