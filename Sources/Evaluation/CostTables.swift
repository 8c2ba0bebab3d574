/// Costs as tables of values separated by commas, for plots.
enum CostTables {
  /// Every account of a run: an epoch, or the steps up to a checkpoint.
  static func accounts(_ record: CostRecord) -> String {
    table(
      [
        "stage", "epoch", "from_step", "step", "images", "wall_s", "images_per_s", "step_ms_p50", "step_ms_p95",
        "comm_share", "data_share", "rss_mib_max", "threads", "nodes", "core_hours", "node_hours", "flops_per_image",
        "flops_per_s", "effective_epochs",
      ],
      record.summary.accounts.map { account in
        let rate = Double(account.images) / max(account.stepSeconds, 1e-9)
        let progress = ["\(account.epoch)", "\(account.from)", "\(account.to)", "\(account.images)"]
        let times = ["\(account.wallSeconds)", "\(rate)", "\(account.stepP50)", "\(account.stepP95)"]
        let shares = ["\(account.communicationShare)", "\(account.dataShare)", "\(account.largestMemory)"]
        let sums = ["\(account.threads)", "\(account.nodes)", "\(account.coreHours)", "\(account.nodeHours)"]
        let work = ["\(account.flopsPerImage)", "\(account.flopsPerImage * rate)", "\(account.effectiveEpochs)"]
        return [csvField(account.stage)] + progress + times + shares + sums + work
      })
  }

  /// Accuracy over time: every score of the monitor, with what had been spent until then.
  static func accuracy(_ record: CostRecord) -> String {
    table(
      ["stage", "step", "node_hours", "core_hours", "effective_epochs", "knn"],
      record.measurements.map { measured in
        let spent = record.summary.spent(in: measured.stage, at: measured.step)
        return [
          csvField(measured.stage), "\(measured.step)", "\(spent.nodeHours)", "\(spent.coreHours)",
          "\(spent.effectiveEpochs)", "\(measured.knn)",
        ]
      })
  }

  /// A line for each run: what it cost in all, and its scores; empty where there is no report in its `eval/`. Of k-NN
  /// the monitor's last score stands in.
  static func runs(_ records: [CostRecord]) -> String {
    let protocols = ["linear", "lowshot", "cluster", "segprobe", "promptseg", "simdist"]
    return table(
      ["run", "node_hours", "core_hours", "effective_epochs", "images_per_s", "rss_mib_max", "knn"] + protocols,
      records.map { record in
        let costs = record.summary
        let knn = record.scores["knn"] ?? record.measurements.last?.knn
        let own = [csvField(record.name), "\(costs.nodeHours)", "\(costs.coreHours)", "\(costs.effectiveEpochs)"]
        let scores = [knn] + protocols.map { record.scores[$0] }
        return own + ["\(costs.imagesPerSecond)", "\(costs.largestMemory)"] + scores.map { $0.map { "\($0)" } ?? "" }
      })
  }

  /// Steps that no account speaks of, in words; nil when there are none.
  static func gap(in record: CostRecord) -> String? {
    var reached: [String: Int] = [:]
    for account in record.summary.accounts {
      let before = reached[account.stage] ?? 0
      guard account.from == before else {
        return "the steps \(before) to \(account.from) of \(account.stage) have no account: log.cost was off"
      }
      reached[account.stage] = account.to
    }
    return nil
  }

  private static func table(_ head: [String], _ rows: [[String]]) -> String {
    ([head] + rows).map { $0.joined(separator: ",") + "\n" }.joined()
  }
}
