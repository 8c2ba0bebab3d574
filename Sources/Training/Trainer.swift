import Basics
import Checkpoints
import Glibc
import Messaging
import Methods
import Pipeline

/// The training loop of a run, or of one stage of it.
///
/// Every rank runs it; rank 0 coordinates and logs. All decisions that end or change the run are taken from reduced
/// values, so that all ranks take the same one at the same step.
final class Trainer {
  private let experiment: Experiment
  private let due: DueStage
  private let observer: Observer
  private let store: CheckpointStore
  private let step: TrainingStep
  private let deadline: Deadline

  /// - Parameter deadline: of this start of the program, however many stages it runs.
  init(
    _ experiment: Experiment, _ due: DueStage, _ observer: Observer, _ store: CheckpointStore, _ deadline: Deadline
  ) {
    self.experiment = experiment
    self.due = due
    self.observer = observer
    self.store = store
    self.deadline = deadline
    step = TrainingStep(experiment)
  }

  /// Trains to the end, or until something asks for an orderly stop.
  ///
  /// - Returns: `.done`, or `.stoppedEarly` with a valid checkpoint.
  /// - Throws: `Failure`, the same on all ranks.
  /// - Collective: all ranks.
  func run() throws -> ExitCode {
    let first = try store.restore(due.start, observer)  // 1 where the weights come from
    let loader = try experiment.communicator.together { try experiment.loader(from: first) }
    defer { loader.stop() }
    try observer.begin(at: first, isInherited: due.isInherited)
    var index = first
    while index < experiment.length.totalSteps {
      let start = monotonicSeconds()
      let batch = try observer.waitForData { try loader.next() }  // 2 batch
      // 3 forward, 4 backward with overlapped reduction, 5 agree
      var result = try step.gradients(of: batch, at: index, wishes: { requests(loader) })
      let wishes = result.wishes
      guard result.isFinite else { throw try observer.recordNonFinite(result, batch, at: index) }
      let updating = monotonicSeconds()
      try step.update(result, at: index)  // 6 update, 7 after
      result.times.update = monotonicSeconds() - updating
      result.times.total = monotonicSeconds() - start
      index += 1
      try observer.observe(result, batch, done: index, badImages: wishes.badImages)  // 8 observe
      let stop = stopReason(wishes, done: index - first)
      let finished = index == experiment.length.totalSteps
      if finished || stop != nil || store.isDue(after: index, minutesDue: wishes.saveDue) {  // 9 checkpoint
        try observer.settle(at: index)
        try store.save(after: index, observer, mustSucceed: finished || stop != nil)
      }
      if let stop, !(finished && due.isLast) { return try observer.stoppedEarly(stop, at: index) }
    }
    return try observer.finished(at: index, isLast: due.isLast)
  }

  /// What this rank would like to happen at the end of this step.
  private func requests(_ loader: Loader) -> StepWishes {
    let isCoordinator = experiment.communicator.rank == 0
    return StepWishes(
      signal: Double(StopSignal.pending ?? 0),
      timeIsUp: isCoordinator && deadline.isNear(step: observer.slowestStep, save: store.slowestSave) ? 1 : 0,
      saveDue: isCoordinator && store.minutesAreUp ? 1 : 0,
      badImages: Double(observer.collectBadImages(loader)))
  }

  private func stopReason(_ wishes: StepWishes, done: Int) -> String? {
    if wishes.signal > 0 {
      return StopSignal.pending.map { "\(StopSignal.name($0)) received" } ?? "a rank was signalled"
    }
    if wishes.timeIsUp > 0 { return "the time limit is near" }
    if let limit = experiment.settings.train.stopAfter, done >= limit { return "train.stop_after=\(limit)" }
    return nil
  }
}

/// What ranks ask for at a step boundary; sums over the ranks once agreed.
struct StepWishes {
  var signal = 0.0
  var timeIsUp = 0.0
  var saveDue = 0.0
  var badImages = 0.0
}

extension StepWishes {
  static let count = 4

  /// As numbers that can be summed.
  var values: [Double] { [signal, timeIsUp, saveDue, badImages] }

  /// The first `count` of `values`.
  init(_ values: [Double]) {
    self.init(signal: values[0], timeIsUp: values[1], saveDue: values[2], badImages: values[3])
  }
}

/// A number from the environment, or nil when it is absent or no number.
func environmentNumber(_ name: String) -> Double? {
  guard let text = getenv(name) else { return nil }
  return Double(String(cString: text))
}
