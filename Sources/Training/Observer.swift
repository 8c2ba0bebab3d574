import Basics
import Features
import Foundation
import Images
import Messaging
import Methods
import Pipeline
import Settings

/// What a run tells the world: progress, metrics, pictures, monitors, status. It never changes the run.
///
/// Rank 0 writes; the collective methods are called by all ranks.
final class Observer {
  private let experiment: Experiment
  private let console: Console
  private let directory: RunDirectory?  // rank 0 only
  private let monitor: KNNMonitor?
  private let health: HealthMonitor
  private let board: StageBoard
  private var watch: CollapseWatch
  private var metrics: MetricLog?
  private var badImages: BadImageList
  private var window = MetricWindow()
  private var ledger: CostLedger?
  private var dataSeconds = 0.0
  private var start = monotonicSeconds()
  private var stepTimes: [Double] = []
  private var waited = 0.0
  private var lastLoss = Double.nan
  private(set) var slowestStep = 0.0
  private var firstStep = 0
  private var isCoordinator: Bool { experiment.communicator.rank == 0 }
  private var stage: PlannedStage { experiment.stage }

  /// - Parameters:
  ///   - directory: the run directory on rank 0, nil elsewhere.
  ///   - board: how far the stages of the run are.
  init(_ experiment: Experiment, directory: RunDirectory?, board: StageBoard, console: Console) {
    self.experiment = experiment
    self.directory = directory
    self.board = board
    self.console = console
    let settings = experiment.settings
    health = HealthMonitor(
      train: experiment.train, view: experiment.method.views.views[0], communicator: experiment.communicator)
    watch = CollapseWatch(globalBatch: experiment.length.globalBatch)
    badImages = BadImageList(limit: settings.data.maxBad * Double(experiment.train.count))
    monitor =
      settings.eval.every == .never
      ? nil
      : KNNMonitor(
        train: experiment.train, validation: experiment.validation, view: experiment.method.views.views[0],
        settings: settings.eval.knn, communicator: experiment.communicator)
  }

  /// A message of rank 0.
  func say(_ text: String) { console.say(text) }

  /// Opens the logs and measures the start. Collective: all ranks.
  ///
  /// - Parameter isInherited: whether the weights of a fresh start come from a checkpoint.
  func begin(at step: Int, isInherited: Bool) throws {
    firstStep = step
    try experiment.communicator.together {
      guard let directory = self.directory else { return }
      self.metrics = try MetricLog(
        path: directory.path + "/metrics.jsonl", stage: self.stage.name, keepingThrough: step > 0 ? step : nil,
        attempt: directory.attempt)
      try self.updateStatus("running", at: step)
    }
    console.say(RunHeader.text(experiment, firstStep: step))
    if let monitor, step == 0 {
      if stage.number == 1 {
        let raw = try monitor.measureRawPixels()
        console.say("k-NN top-1 of raw pixels \(short(raw.headline)) % (k = \(raw.top1.first?.k ?? 0))")
        try record(kind: "eval", step: step, [("knn_top1_raw_pixels", .double(raw.headline))])
      }
      try runMonitor(at: step, label: isInherited ? "encoder that it starts from" : "untrained encoder")
    } else if monitor == nil && experiment.settings.eval.every != .never {
      console.say("note: the data have no labels, so there is no k-NN monitor")
    }
    start = monotonicSeconds()
    if experiment.settings.log.cost { ledger = CostLedger(CostLedger.Setting(experiment), after: step) }
  }

  /// Waits for a batch, and agrees with the other ranks that all have one. Collective: all ranks.
  func waitForData(_ next: () throws -> Batch) throws -> Batch {
    let start = monotonicSeconds()
    experiment.communicator.enter(phase: "data")
    let batch = try experiment.communicator.together { try OpClock.measure(.data) { try next() } }
    dataSeconds = monotonicSeconds() - start
    return batch
  }

  /// Takes this rank's newly found bad images; returns how many there are.
  func collectBadImages(_ loader: Loader) -> Int { badImages.collect(loader.takeBadImages()) }

  /// Logs one finished step. Collective: all ranks.
  func observe(_ result: StepResult, _ batch: Batch, done: Int, badImages found: Double) throws {
    let settings = experiment.settings
    lastLoss = result.loss
    var times = result.times
    times.data = dataSeconds
    slowestStep = max(slowestStep, times.total)
    stepTimes.append(times.total)
    waited += times.data
    window.add(result, times)
    ledger?.add(times, images: batch.count)
    try say(watch.see(parts: result.parts), at: done)
    if found > 0 { try reportBadImages(at: done) }
    let isLast = done == experiment.length.totalSteps
    if isLast || done == firstStep + 1 || experiment.length.isDue(settings.log.every, after: done) {
      try report(result, at: done)
    }
    if isLast || experiment.length.isDue(settings.log.images.every, after: done) {
      try drawPictures(batch, at: done)
    }
    if monitor != nil, isLast || experiment.length.isDue(settings.eval.every, after: done) {
      try runMonitor(at: done, label: "encoder after step \(done)")
    } else if experiment.length.isDue(settings.eval.health.every, after: done) {
      try measureHealth(at: done)
    }
    if done % experiment.length.stepsPerEpoch == 0 {
      try experiment.checkReplicas()
      try settle(at: done)
    }
  }

  /// Writes what the steps since the last time have cost. Collective: all ranks.
  func settle(at done: Int) throws {
    guard let fields = try ledger?.settle(at: done, experiment.communicator), !fields.isEmpty else { return }
    try record(kind: "cost", step: done, fields)
  }

  private func report(_ result: StepResult, at done: Int) throws {
    let spread = try window.spread(experiment.communicator)
    defer { window = MetricWindow() }
    guard isCoordinator else { return }
    let images = Double(experiment.length.globalBatch) * Double(window.count) / max(window.total, 1e-9)
    let left = Double(experiment.length.totalSteps - done) * window.total / Double(max(window.count, 1))
    let epoch = experiment.length.epoch(of: done)
    console.progress(
      "\(stage.title) [\(done)/\(experiment.length.totalSteps)]  ep: \(String(format: "%.2f", epoch))"
        + "  eta: \(duration(left))  loss: \(String(format: "%.4f", result.loss))"
        + " (\(String(format: "%.4f", window.meanLoss)))  lr: \(short(experiment.rate.value(at: done - 1)))"
        + "  grad: \(short(result.gradientNorm))  img/s: \(short(images))  time: \(short(window.mean(\.total)))"
        + "  data: \(short(window.mean(\.data)))  comm: \(short(window.mean(\.communication)))"
        + (result.observations.count > 3 ? [] : result.observations).map { "  \($0.name): \(short($0.value))" }.joined(),
      fraction: Double(done) / Double(experiment.length.totalSteps))
    try record(
      kind: "train", step: done,
      [
        ("epoch", .double(epoch)),
        ("images", .int(done * experiment.length.globalBatch)), ("loss", .double(result.loss)),
      ] + result.parts.map { ("loss_\($0.name)", .double($0.value)) }
        + result.observations.map { ($0.name, .double($0.value)) } + [
          ("lr", .double(experiment.rate.value(at: done - 1))), ("wd", .double(experiment.settings.optim.weightDecay)),
          ("grad_norm", .double(result.gradientNorm)), ("images_per_s", .double(images)),
          ("step_ms", .double(1000 * window.mean(\.total))), ("data_ms", .double(1000 * window.mean(\.data))),
          ("fwd_ms", .double(1000 * window.mean(\.forward))), ("bwd_ms", .double(1000 * window.mean(\.backward))),
          ("comm_ms", .double(1000 * window.mean(\.communication))), ("opt_ms", .double(1000 * window.mean(\.update))),
          ("data_wait", .double(window.mean(\.data) / max(window.mean(\.total), 1e-9))),
          ("bad_images", .int(badImages.total)), ("rss_mib", .double(Versions.peakResidentMiB)),
        ] + spread)
  }

  /// Measures the encoder with the k-NN monitor. Collective: all ranks.
  private func runMonitor(at step: Int, label: String) throws {
    guard let monitor else { return }
    experiment.communicator.enter(phase: "monitor")
    let start = monotonicSeconds()
    let report = try monitor.measure { experiment.method.encode($0) }
    let head = try health.measure { experiment.method.headFeatures($0) }
    console.say(
      "k-NN top-1 of the \(label) \(short(report.headline)) %"
        + "  (std \(short(report.health.standardDeviation)), effective rank \(short(report.health.effectiveRank)))")
    try record(
      kind: "eval", step: step,
      report.top1.map { ("knn_k\($0.k)_top1", .double($0.percent)) } + [
        ("knn_top1", .double(report.headline)), ("knn_purity", .double(report.purity)),
      ] + healthFields(encoder: report.health, head: head) + [
        ("eval_ms", .double(1000 * (monotonicSeconds() - start)))
      ])
    try watchHealth(encoder: report.health, head: head, at: step)
  }

  /// Spread and effective rank of some training images' features. Collective: all ranks.
  private func measureHealth(at step: Int) throws {
    let encoder = try health.measure { experiment.method.encode($0) }
    let head = try health.measure { experiment.method.headFeatures($0) }
    try record(kind: "eval", step: step, healthFields(encoder: encoder, head: head))
    try watchHealth(encoder: encoder, head: head, at: step)
  }

  private func healthFields(encoder: FeatureHealth?, head: FeatureHealth?) -> [(String, JSON)] {
    [("emb_std", "eff_rank", encoder), ("head_std", "head_eff_rank", head)].flatMap { spread, rank, health in
      guard let health else { return [(String, JSON)]() }
      return [(spread, .double(health.standardDeviation)), (rank, .double(health.effectiveRank))]
    }
  }

  private func watchHealth(encoder: FeatureHealth?, head: FeatureHealth?, at step: Int) throws {
    if let encoder { try say(watch.see(encoder, of: .encoder, at: step), at: step) }
    if let head { try say(watch.see(head, of: .head, at: step), at: step) }
  }

  /// Names signs of collapse on screen and in the metrics.
  private func say(_ findings: [CollapseWatch.Finding], at step: Int) throws {
    for finding in findings {
      console.say(finding.text)
      try record(
        kind: "event", step: step,
        [
          ("event", .string("collapse")), ("sign", .string(finding.sign.rawValue)), ("value", .double(finding.value)),
          ("limit", .double(finding.limit)),
        ])
    }
  }

  /// Writes `viz/recon-<step>.png`, of a stage `viz/<stage>-recon-<step>.png`, from rank 0's images. A local matter: other ranks return at once.
  private func drawPictures(_ batch: Batch, at done: Int) throws {
    try experiment.communicator.together {
      guard let directory = self.directory else { return }
      let rows = try self.experiment.method.pictures(
        batch, count: min(self.experiment.settings.log.images.count, batch.count),
        at: self.experiment.context(at: done - 1))
      guard let first = rows.first else { return }
      let sheet = PictureSheet(
        title: "step \(done)  loss \(String(format: "%.4f", self.lastLoss))",
        captions: first.pictures.map(\.caption),
        rows: rows.map { row in
          PictureSheet.Row(
            row.pictures.map { .init(Pixels(width: $0.width, height: $0.height, bytes: $0.bytes)) },
            label: "image \(row.image)")
        })
      let bytes = PNG.encode(sheet.rendered())
      let name = "\(self.stage.filePrefix)recon-\(String(format: "%08d", done)).png"
      try AtomicFile.write(bytes, to: "\(directory.path)/viz/\(name)")
    }
  }

  private func reportBadImages(at done: Int) throws {
    let known = badImages.total
    let listing = "\(stage.filePrefix)bad-images.txt"
    try badImages.gather(experiment.communicator)
    if isCoordinator, badImages.total > known {
      console.say("warning: \(badImages.summary)")
      try directory?.write(badImages.listing, to: listing)
    }
    try badImages.requireFew(
      of: experiment.train.count, listing: "\(directory?.path ?? "the run directory")/\(listing)")
  }

  private func record(kind: String, step: Int, _ fields: [(String, JSON)]) throws {
    try metrics?.append(kind: kind, step: step, fields)
  }

  /// A checkpoint stands. Local.
  func saved(_ path: String, seconds: Double, at done: Int) throws {
    console.say("saved \(path) in \(String(format: "%.2f", seconds)) s")
    try record(kind: "event", step: done, [("event", .string("checkpoint")), ("ckpt_ms", .double(1000 * seconds))])
    try metrics?.synchronise()
    try updateStatus("running", at: done, [("checkpoint", .string(path))])
  }

  /// A checkpoint could not be written; the run goes on without it. Local.
  func couldNotSave(_ failure: Failure, at done: Int) throws {
    console.say(
      "warning: the checkpoint at step \(done) was not written, the previous one is intact and the run goes on\n  "
        + failure.description)
  }

  /// The last words of a run that stops early: its checkpoint is valid.
  func stoppedEarly(_ reason: String, at done: Int) throws -> ExitCode {
    let state = done == experiment.length.totalSteps ? "finished" : "stopped"
    try updateStatus("stopped", stage: state, at: done, [("reason", .string(reason)), ("exit", .int(75))])
    console.say(
      "stopped at step \(done)\(stage.isStaged ? " of stage \(stage.name)" : ""): \(reason). Exit 75: go on with the same command and --resume auto"
    )
    printFigureOfMerit()
    return .stoppedEarly
  }

  /// The last words of a finished run, or of a stage that others follow.
  func finished(at done: Int, isLast: Bool) throws -> ExitCode {
    try updateStatus(
      isLast ? "finished" : "running", stage: "finished", at: done,
      [("loss", .double(lastLoss))] + (isLast ? [("exit", .int(0))] : []))
    if isLast {
      printFigureOfMerit()
    } else {
      console.say("\(stage.title) is finished at step \(done), loss \(String(format: "%.6f", lastLoss))")
    }
    return .done
  }

  private func updateStatus(
    _ state: String, stage own: String? = nil, at step: Int, _ more: [(String, JSON)] = []
  ) throws {
    try directory?.updateStatus(state, board.fields(stage.name, own ?? state, at: step) + more)
  }

  private func printFigureOfMerit() {
    let sorted = stepTimes.sorted()
    let total = stepTimes.reduce(0, +)
    guard let median = sorted.isEmpty ? nil : sorted[sorted.count / 2] else { return }
    console.result(
      "FOM images_per_s=\(short(Double(experiment.length.globalBatch * sorted.count) / total))"
        + " step_ms_p50=\(short(1000 * median)) data_wait=\(String(format: "%.4f", waited / total))"
        + " loss=\(String(format: "%.6f", lastLoss))")
  }

  /// Writes the step that went wrong to `debug/` and names what is not finite. Collective: all ranks.
  func recordNonFinite(_ result: StepResult, _ batch: Batch, at index: Int) throws -> Failure {
    let path = try StepTrace.writeNonFinite(experiment, result, batch, at: index, directory: directory)
    let culprits = experiment.nonFiniteGradients().prefix(3).joined(separator: ", ")
    try updateStatus("non-finite", at: index, [("exit", .int(3))])
    return Failure(
      .nonFinite,
      "step \(index): the loss is \(result.loss) and \(result.nonFinite) gradient values are not finite"
        + (culprits.isEmpty ? "" : " (first in \(culprits))"),
      at: path,
      hint: "the record holds every input of the step; the weights were not updated. Lower optim.base_lr, or look at "
        + "the images of /samples/index")
  }
}
