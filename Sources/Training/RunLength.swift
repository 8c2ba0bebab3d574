import Basics
import Settings

/// How long a run is, in optimiser updates. A function of the settings and the number of images alone.
struct RunLength: Equatable {
  let globalBatch: Int
  let stepsPerEpoch: Int
  let totalSteps: Int

  /// - Throws: `Failure` of code 78 when the data hold less than one batch.
  init(_ train: TrainSettings, images: Int) throws(Failure) {
    globalBatch = train.batchSize
    stepsPerEpoch = images / train.batchSize
    guard stepsPerEpoch > 0 else {
      throw Failure(
        .badConfig, "train.batch_size is \(train.batchSize), but the data hold only \(images) images",
        at: "train.batch_size", hint: "make the batch at most \(images), or add images")
    }
    if let steps = train.maxSteps {
      totalSteps = steps
    } else {
      totalSteps = max(1, Int(((train.epochs ?? 1) * Double(stepsPerEpoch)).rounded()))
    }
  }

  /// The epoch of update `step`, as a fraction.
  func epoch(of step: Int) -> Double { Double(step) / Double(stepsPerEpoch) }

  /// An interval in steps, or nil when it never comes up or is counted in minutes.
  func steps(_ interval: Interval) -> Int? {
    interval.steps(stepsPerEpoch: stepsPerEpoch, totalSteps: totalSteps, globalBatch: globalBatch)
  }

  /// Whether something with this interval is due after `done` updates.
  func isDue(_ interval: Interval, after done: Int) -> Bool {
    guard let every = steps(interval), every > 0 else { return false }
    return done % every == 0
  }
}
