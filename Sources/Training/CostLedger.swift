import Basics
import Messaging
import Parallelism

/// What the steps since the last account have cost, for lines of kind `cost` in the metrics.
///
/// A step adds a few numbers to a list; ranks meet once an account: at the end of an epoch, and before a checkpoint, so
/// that a run that goes on there has an account of everything before it.
struct CostLedger {
  /// What a run, or a stage of it, has beside its steps.
  struct Setting {
    /// Compute threads of this rank.
    let threads: Int
    let nodes: Int
    let stepsPerEpoch: Int
    let totalSteps: Int
    /// Images of an epoch, whether all are seen or not.
    let epochImages: Int
    let flopsPerImage: Double
    /// The sides of the views of an image.
    let viewSizes: [Int]

    /// The area of all views of an image in images of 224 x 224: what an epoch counts in effective epochs.
    var viewArea: Double { viewSizes.reduce(0) { $0 + Double($1 * $1) / (224 * 224) } }
  }

  private let setting: Setting
  private var from: Int
  private var start = monotonicSeconds()
  private var seconds: [Double] = []
  private var communication = 0.0
  private var data = 0.0
  private var images = 0

  /// An account that begins after `step` updates.
  init(_ setting: Setting, after step: Int) {
    self.setting = setting
    from = step
  }

  /// Adds a step of this rank.
  mutating func add(_ times: StepTimes, images: Int) {
    seconds.append(times.total)
    communication += times.communication
    data += times.data
    self.images += images
  }

  /// Settles the steps up to `done`: the fields of a line, none when there was no step.
  ///
  /// - Collective: all ranks.
  mutating func settle(at done: Int, _ communicator: Communicator) throws(Failure) -> [(String, JSON)] {
    guard done > from else { return [] }
    let wall = monotonicSeconds() - start
    let total = seconds.reduce(0, +)
    // Over all ranks: images, seconds of threads, seconds in steps and those of them in communication and waiting for data.
    let sums = try communicator.allReduceSum(
      [Double(images), wall * Double(setting.threads), Double(setting.threads), total, communication, data])
    let memory = try communicator.spreads(of: [Versions.peakResidentMiB])[0]
    let fields = fields(at: done, wall: wall, sums: sums, memory: memory)
    self = CostLedger(setting, after: done)
    return fields
  }

  private func fields(at done: Int, wall: Double, sums: [Double], memory: RankSpread) -> [(String, JSON)] {
    let sorted = seconds.sorted()
    let total = seconds.reduce(0, +)
    let rate = sums[0] / max(total, 1e-9)
    return [
      ("epoch", .double(Double(done) / Double(setting.stepsPerEpoch))), ("from_step", .int(from)),
      ("steps", .int(done - from)), ("total_steps", .int(setting.totalSteps)), ("images", .int(Int(sums[0]))),
      ("effective_epochs", .double(sums[0] / Double(setting.epochImages) * setting.viewArea)),
      ("wall_s", .double(wall)), ("step_s", .double(total)), ("images_per_s", .double(rate)),
      ("step_ms_p50", .double(1000 * CostLedger.quantile(0.5, of: sorted))),
      ("step_ms_p95", .double(1000 * CostLedger.quantile(0.95, of: sorted))),
      ("comm_share", .double(sums[4] / max(sums[3], 1e-9))), ("data_share", .double(sums[5] / max(sums[3], 1e-9))),
      ("rss_mib_min", .double(memory.minimum)), ("rss_mib_mean", .double(memory.mean)),
      ("rss_mib_max", .double(memory.maximum)), ("rss_rank", .int(memory.maximumRank)),
      ("threads", .int(Int(sums[2]))), ("nodes", .int(setting.nodes)), ("core_hours", .double(sums[1] / 3600)),
      ("node_hours", .double(wall * Double(setting.nodes) / 3600)), ("flops_per_image", .double(setting.flopsPerImage)),
      ("flops_per_s", .double(setting.flopsPerImage * rate)),
    ]
  }

  /// The smallest value that at least a part `share` of all values does not exceed.
  static func quantile(_ share: Double, of sorted: [Double]) -> Double {
    guard !sorted.isEmpty else { return 0 }
    return sorted[min(max(Int((share * Double(sorted.count)).rounded(.up)) - 1, 0), sorted.count - 1)]
  }
}

extension CostLedger.Setting {
  init(_ experiment: Experiment) {
    self.init(
      threads: experiment.threads.threads[experiment.communicator.rank], nodes: experiment.communicator.node.count,
      stepsPerEpoch: experiment.length.stepsPerEpoch, totalSteps: experiment.length.totalSteps,
      epochImages: experiment.train.count, flopsPerImage: experiment.method.flopsPerImage,
      viewSizes: experiment.method.views.views.map(\.size))
  }
}
