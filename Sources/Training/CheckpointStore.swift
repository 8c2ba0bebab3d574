import Basics
import Checkpoints
import Foundation
import Messaging
import Settings

/// When and where a run saves, and what it starts from.
final class CheckpointStore {
  private let experiment: Experiment
  private let run: String
  private let stageDirectory: String
  private var lastSaveEnded = monotonicSeconds()
  private var lastSavedStep: Int?
  private(set) var slowestSave = 1.0

  /// - Parameter run: the run directory.
  init(_ experiment: Experiment, run: String) {
    self.experiment = experiment
    self.run = run
    stageDirectory = "\(run)/checkpoints/\(experiment.settings.method)"
  }

  /// Whether a `minutes` interval has run out on this rank's clock.
  var minutesAreUp: Bool {
    experiment.settings.checkpoint.every.contains { interval in
      if case .minutes(let minutes) = interval { return monotonicSeconds() - lastSaveEnded >= 60 * minutes }
      return false
    }
  }

  /// Whether a checkpoint is due after `done` updates; `minutesDue` is the agreed sum of `minutesAreUp`.
  func isDue(after done: Int, minutesDue: Double) -> Bool {
    minutesDue > 0 || experiment.settings.checkpoint.every.contains { experiment.length.isDue($0, after: done) }
  }

  /// Gives the weights their first values: resume, then `--init-from`, then the initialisers.
  ///
  /// - Returns: the number of updates already done.
  /// - Collective: all ranks.
  func restore(_ options: LaunchOptions, _ observer: Observer) throws -> Int {
    switch options.resume {
    case .file(let path):
      return try resume(from: path, observer)
    case .auto:
      let found = try CheckpointReader.newestValid(in: run, communicator: experiment.communicator)
      for file in found.rejected {
        observer.say("warning: \(file.path) does not verify and is passed over: \(file.reason)")
      }
      if let path = found.path { return try resume(from: path, observer) }
      if !found.rejected.isEmpty { observer.say("warning: no checkpoint verifies: starting from the beginning") }
    case .never: break
    }
    if let path = options.initFrom {
      _ = try CheckpointReader.load(
        into: experiment.weights, from: path, communicator: experiment.communicator, allowUnexpected: true)
      observer.say("weights from \(path)")
    }
    return 0
  }

  private func resume(from path: String, _ observer: Observer) throws -> Int {
    let communicator = experiment.communicator
    let header = try communicator.together { () throws -> CheckpointHeader in
      let header = try CheckpointReader.header(path)
      try self.requireSameRun(header, path)
      return header
    }
    _ = try CheckpointReader.load(into: experiment.state, from: path, communicator: communicator)
    lastSavedStep = header.step
    observer.say(
      "resumed from \(path) at step \(header.step) (written by \(header.worldSize) ranks, now \(communicator.size))")
    return header.step
  }

  /// A run may change its length, its data's place and its number of ranks, but not what its numbers depend on.
  private func requireSameRun(_ header: CheckpointHeader, _ path: String) throws(Failure) {
    let settings = experiment.settings
    guard header.method == settings.method else {
      throw Failure(
        .badData, "the checkpoint is of method \(header.method), the configuration says \(settings.method)", at: path,
        hint: "use the configuration of that run, or --init-from to take only the weights")
    }
    guard header.seed == settings.seed, header.globalBatch == experiment.length.globalBatch else {
      throw Failure(
        .badConfig,
        "the checkpoint has seed \(header.seed) and batch \(header.globalBatch), the configuration "
          + "\(settings.seed) and \(experiment.length.globalBatch)", at: path,
        hint: "a resumed run needs both as they were; use --init-from to start a new run from the weights")
    }
    guard header.step <= experiment.length.totalSteps else {
      throw Failure(
        .badConfig, "the checkpoint is at step \(header.step), the run ends at \(experiment.length.totalSteps)",
        at: path, hint: "raise train.epochs or train.max_steps")
    }
  }

  /// Saves, unless this step is saved already.
  ///
  /// A failed save leaves the previous checkpoint as it was; the run goes on unless it is about to end.
  /// - Collective: all ranks.
  func save(after done: Int, _ observer: Observer, mustSucceed: Bool) throws {
    guard lastSavedStep != done else { return }
    experiment.communicator.enter(phase: "checkpoint")
    try experiment.checkReplicas()
    let start = monotonicSeconds()
    let settings = experiment.settings.checkpoint
    let written: Result<String, Failure> = Result { () throws(Failure) in
      try CheckpointWriter.save(
        experiment.state, header: experiment.header(after: done), directory: stageDirectory,
        engine: CheckpointEngine(rawValue: settings.engine) ?? .direct, verify: settings.verify,
        communicator: experiment.communicator)
    }
    lastSaveEnded = monotonicSeconds()
    slowestSave = max(slowestSave, lastSaveEnded - start)
    switch written {
    case .success(let path):
      lastSavedStep = done
      try removeOld(keeping: path)
      try observer.saved(path, seconds: lastSaveEnded - start, at: done)
    case .failure(let failure):
      if mustSucceed || failure.code != .ioError { throw failure }
      try observer.couldNotSave(failure, at: done)
    }
  }

  /// Removes checkpoints that need not stay. Collective: all ranks.
  private func removeOld(keeping path: String) throws {
    let settings = experiment.settings.checkpoint
    try experiment.communicator.together {
      guard experiment.communicator.rank == 0 else { return }
      _ = try Retention.apply(
        stageDirectory, keepLast: settings.keepLast, keepEvery: experiment.length.steps(settings.keepEvery),
        verified: path)
    }
  }
}
