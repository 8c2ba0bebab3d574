import Autodiff
import Basics
import Layers
import Messaging
import Methods
import Optimizers
import Parallelism
import Pipeline
import Tensors

/// What one forward and backward pass over the global batch gave; equal on every rank.
struct StepResult {
  var loss: Double
  var parts: [(name: String, value: Double)]
  /// What the method wants watched, over all ranks.
  var observations: [(name: String, value: Double)]
  var nonFinite: Int
  var gradientNorm: Double
  /// Of the gradient of each trainable parameter.
  var sumsOfSquares: [Double]
  var times = StepTimes()
  /// What all ranks together ask for.
  var wishes = StepWishes()

  /// Whether loss and all gradients are finite.
  var isFinite: Bool { loss.isFinite && nonFinite == 0 && gradientNorm.isFinite }
}

/// Seconds of one step on this rank.
struct StepTimes {
  var data = 0.0
  var forward = 0.0
  var backward = 0.0
  var communication = 0.0
  var update = 0.0
  var total = 0.0
}

/// One optimiser step over the parts of an experiment: gradients of the global batch, then the update.
///
/// The local loss is a mean over this rank's block; its gradient is weighted by block / global batch and summed over
/// the ranks, so that uneven blocks give the global mean.
final class TrainingStep {
  private let experiment: Experiment
  private let buckets: GradientBuckets

  init(_ experiment: Experiment) {
    self.experiment = experiment
    let runtime = experiment.settings.runtime
    buckets = GradientBuckets(
      arena: experiment.arena, communicator: experiment.communicator,
      bucketBytes: runtime.bucketBytes, overlap: runtime.overlap,
      shared: experiment.sharedGradients)
  }

  /// Leaves the gradients of the global mean loss in the `reducedGradients` of every rank's arena.
  ///
  /// - Parameter wishes: what this rank asks for, taken after backward: it travels with the losses, in one message.
  /// - Collective: all ranks.
  func gradients(
    of batch: Batch, at index: Int, draws: DrawRecorder? = nil, wishes: () -> StepWishes = { StepWishes() }
  ) throws -> StepResult {
    let method = experiment.method
    experiment.communicator.enter(phase: "step")
    var times = StepTimes()
    try method.beforeForward(experiment.context(at: index, draws: draws))
    var sums: [Double] = []  // loss and parts, weighted by images; sums and counts of observations
    var (parts, watched): ([String], [String]) = ([], [])
    let pieces = batch.microBatches(of: experiment.settings.train.microBatch)
    for (number, piece) in pieces.enumerated() {
      let weight = Double(piece.count) / Double(batch.globalBatch)
      let start = monotonicSeconds()
      let report = try method.loss(
        piece, at: experiment.context(at: index, isFirstMicrobatch: number == 0, draws: draws))
      let middle = monotonicSeconds()
      times.forward += middle - start
      let values =
        ([Double(report.total.value.item)] + report.parts.map(\.value)).map { $0 * weight }
        + report.observations.map(\.sum) + report.observations.map { Double($0.count) }
      sums = sums.isEmpty ? values : zip(sums, values).map(+)
      (parts, watched) = (report.parts.map(\.name), report.observations.map(\.name))
      if number == 0 { try buckets.zeroGradients() }
      if number == pieces.count - 1 { buckets.arm() }
      report.total.backward(seed: Float(weight))
      times.backward += monotonicSeconds() - middle
    }
    let waiting = monotonicSeconds()
    let reduced = try OpClock.measure(.communication) { try buckets.finish() }
    let agreed = try experiment.communicator.allReduceSum(wishes().values + sums)
    sums = Array(agreed.dropFirst(StepWishes.count))
    times.communication = monotonicSeconds() - waiting
    let seen = sums.dropFirst(1 + parts.count)
    let observations = zip(watched, zip(seen, seen.dropFirst(watched.count))).map { name, total in
      (name: name, value: total.1 > 0 ? total.0 / total.1 : .nan)
    }
    return StepResult(
      loss: sums[0], parts: zip(parts, sums.dropFirst()).map { ($0, $1) }, observations: observations,
      nonFinite: reduced.nonFinite, gradientNorm: reduced.norm, sumsOfSquares: reduced.parameterSumsOfSquares,
      times: times, wishes: StepWishes(agreed))
  }

  /// Clips, updates the weights and lets the method move its teachers, queues and centres.
  ///
  /// - Collective: when the method's `afterUpdate` is.
  func update(_ result: StepResult, at index: Int) throws {
    let step = experiment.context(at: index)
    OpClock.measure(.optimiser) {
      experiment.optimizer.update(
        UpdateContext(
          rate: step.learningRate, weightDecay: experiment.settings.optim.weightDecay,
          gradientScale: experiment.clip.scale(sumsOfSquares: result.sumsOfSquares), epoch: step.epoch))
    }
    buckets.release()
    try experiment.method.afterUpdate(step)
  }
}
