import Basics
import Checkpoints
import Foundation
import Messaging
import Settings

/// When and where a run saves, and what it starts from.
final class CheckpointStore {
  private let experiment: Experiment
  private var lastSaveEnded = monotonicSeconds()
  private var lastSavedStep: Int?
  private(set) var slowestSave = 1.0

  init(_ experiment: Experiment) { self.experiment = experiment }

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

  /// Gives weights and state their first values: those of the run itself, of what it starts from, or the initialisers'.
  ///
  /// - Returns: the number of updates already done.
  /// - Collective: all ranks.
  func restore(_ start: StageStart, _ observer: Observer) throws -> Int {
    switch start {
    case .goingOn(let path): return try resume(from: path, observer)
    case .fresh(let path):
      let parts = try path.map { try experiment.inherit(from: $0, observer) } ?? []
      experiment.method.didInherit(parts)
      experiment.origin = path.map(CheckpointHeader.origin)
      return 0
    }
  }

  private func resume(from path: String, _ observer: Observer) throws -> Int {
    let communicator = experiment.communicator
    let header = try communicator.together { () throws -> CheckpointHeader in
      let header = try CheckpointReader.header(path)
      try header.requireSameRun(as: experiment.stage, experiment.length, path)
      return header
    }
    _ = try CheckpointReader.load(into: experiment.state, from: path, communicator: communicator)
    experiment.origin = header.origin
    lastSavedStep = header.step
    observer.say(
      "resumed from \(path) at step \(header.step) (written by \(header.worldSize) ranks, now \(communicator.size))")
    return header.step
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
        experiment.state, header: experiment.header(after: done), directory: experiment.stage.checkpoints,
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
        experiment.stage.checkpoints, keepLast: settings.keepLast,
        keepEvery: experiment.length.steps(settings.keepEvery),
        verified: path)
    }
  }
}
