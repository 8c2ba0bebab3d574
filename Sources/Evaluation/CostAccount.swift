import Basics

/// What some steps of a run have cost: a line of kind `cost` in its metrics.
struct CostAccount: Equatable {
  let stage: String
  /// Updates before and after these steps.
  let from, to: Int
  /// Updates of the whole stage.
  let totalSteps: Int
  let epoch: Double
  let images: Int
  let effectiveEpochs: Double
  /// Seconds from the end of the account before to the end of this one, and those of them inside steps.
  let wallSeconds, stepSeconds: Double
  let stepP50, stepP95: Double
  /// Parts of the time inside steps.
  let communicationShare, dataShare: Double
  /// The largest peak of resident memory of a rank, in MiB.
  let largestMemory: Double
  let threads, nodes: Int
  let coreHours, nodeHours: Double
  let flopsPerImage: Double

  var steps: Int { to - from }

  /// - Throws: bad data when a field is missing.
  init(_ line: JSON, place: String) throws(Failure) {
    func number(_ key: String) throws(Failure) -> Double {
      guard let value = line[key]?.doubleValue, value.isFinite else {
        throw Failure(.badData, "a line of costs has no '\(key)'", at: place, hint: "was the file edited by hand?")
      }
      return value
    }
    func whole(_ key: String) throws(Failure) -> Int {
      guard let value = Int(exactly: try number(key)), value >= 0 else {
        throw Failure(.badData, "'\(key)' of a line of costs is no count", at: place)
      }
      return value
    }
    stage = line["stage"]?.stringValue ?? ""
    (from, to, totalSteps) = (try whole("from_step"), try whole("step"), try whole("total_steps"))
    (images, threads, nodes) = (try whole("images"), try whole("threads"), try whole("nodes"))
    (epoch, effectiveEpochs) = (try number("epoch"), try number("effective_epochs"))
    (wallSeconds, stepSeconds) = (try number("wall_s"), try number("step_s"))
    (stepP50, stepP95) = (try number("step_ms_p50"), try number("step_ms_p95"))
    (communicationShare, dataShare) = (try number("comm_share"), try number("data_share"))
    (coreHours, nodeHours) = (try number("core_hours"), try number("node_hours"))
    (largestMemory, flopsPerImage) = (try number("rss_mib_max"), try number("flops_per_image"))
  }
}

/// What a stage of a run, or the whole run, has cost.
struct CostSummary {
  let accounts: [CostAccount]

  var steps: Int { accounts.reduce(0) { $0 + $1.steps } }
  var images: Int { accounts.reduce(0) { $0 + $1.images } }
  var effectiveEpochs: Double { sum(\.effectiveEpochs) }
  var wallSeconds: Double { sum(\.wallSeconds) }
  var stepSeconds: Double { sum(\.stepSeconds) }
  var coreHours: Double { sum(\.coreHours) }
  var nodeHours: Double { sum(\.nodeHours) }
  var imagesPerSecond: Double { Double(images) / max(stepSeconds, 1e-9) }
  var communicationShare: Double { share(\.communicationShare) }
  var dataShare: Double { share(\.dataShare) }
  var largestMemory: Double { accounts.map(\.largestMemory).max() ?? 0 }
  /// Arithmetic of all images.
  var flops: Double { accounts.reduce(0) { $0 + Double($1.images) * $1.flopsPerImage } }
  var flopsPerImage: Double { flops / Double(max(images, 1)) }
  var flopsPerSecond: Double { flops / max(stepSeconds, 1e-9) }
  /// Steps of its stages as they are planned, so that costs so far can be carried on to the end.
  var plannedSteps: Int {
    Dictionary(accounts.map { ($0.stage, $0.totalSteps) }) { $1 }.values.reduce(0, +)
  }

  /// The value of an account in the middle when accounts are sorted by it, each counted as often as it has steps.
  func typical(_ value: KeyPath<CostAccount, Double>) -> Double {
    let sorted = accounts.sorted { $0[keyPath: value] < $1[keyPath: value] }
    var left = (steps + 1) / 2
    for account in sorted {
      left -= account.steps
      if left <= 0 { return account[keyPath: value] }
    }
    return 0
  }

  /// Node-hours, core-hours and effective epochs when a stage was at a step: those of all accounts before, and a part of
  /// the account that the step lies in.
  func spent(in stage: String, at step: Int) -> (nodeHours: Double, coreHours: Double, effectiveEpochs: Double) {
    var spent = (0.0, 0.0, 0.0)
    for account in accounts {
      let isHere = account.stage == stage && account.to >= step
      let part = isHere ? Double(max(step - account.from, 0)) / Double(max(account.steps, 1)) : 1
      spent.0 += part * account.nodeHours
      spent.1 += part * account.coreHours
      spent.2 += part * account.effectiveEpochs
      if isHere { break }
    }
    return spent
  }

  private func sum(_ value: KeyPath<CostAccount, Double>) -> Double { accounts.reduce(0) { $0 + $1[keyPath: value] } }

  private func share(_ value: KeyPath<CostAccount, Double>) -> Double {
    accounts.reduce(0) { $0 + $1[keyPath: value] * $1.stepSeconds } / max(stepSeconds, 1e-9)
  }
}
