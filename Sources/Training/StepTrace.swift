import Basics
import Checkpoints
import Foundation
import Messaging
import Methods
import Pipeline
import Tensors

/// The step record: every input of one optimiser step and every result, in one file, so that an independent program
/// can recompute the step.
///
/// - Source: design section 7, format `sslmpi-step-1`.
public enum StepTrace {
  /// Takes one step of the run that `options` describe and writes its record to `output`.
  ///
  /// With `--resume` the step is the one after that checkpoint, else the first of the stage, with what it starts from.
  /// Without `--stage` the stage is the first one that is not finished. Nothing else is written.
  /// - Collective: every process of the launch calls it once.
  public static func run(_ options: LaunchOptions, output: String) -> ExitCode {
    Session.run { world in
      let communicator = world.communicator
      let console = Console(speaks: communicator.rank == 0)
      let plan = try communicator.together { try RunPlan(options, communicator) }
      let sequence = try StageSequence(plan, options, communicator, console)
      try sequence.requireOrigins()
      guard let due = try sequence.next() else {
        throw Failure(
          .usage, "there is no step to record: everything is finished", at: plan.path,
          hint: "give a checkpoint before the end: --resume FILE")
      }
      let experiment = try Experiment.build(due.stage, sequence.shelf, goesOn: options.resume != .never, communicator)
      let observer = Observer(experiment, directory: nil, board: sequence.board, console: console)
      let index = try CheckpointStore(experiment).restore(due.start, observer)
      let loader = try communicator.together { try experiment.loader(from: index) }
      defer { loader.stop() }
      let batch = try communicator.together { try loader.next() }
      let draws = DrawRecorder()
      var record = begin(experiment, batch, at: index)
      let step = TrainingStep(experiment)
      let result = try step.gradients(of: batch, at: index, draws: draws)
      addResults(&record, experiment, result, draws)
      try step.update(result, at: index)
      for tensor in experiment.weights { record.add("weights_after", withoutPrefix(tensor)) }
      for state in experiment.method.state { record.add("state_after", NamedTensor(state)) }
      try record.write(to: output, communicator: communicator)
      console.result("step \(index) written to \(output): loss \(result.loss)")
      return .done
    }
  }

  /// Repeats the step's forward and backward pass with its draws recorded, and writes the record to `debug/`.
  ///
  /// - Returns: the path of the record.
  /// - Collective: all ranks.
  static func writeNonFinite(
    _ experiment: Experiment, _ result: StepResult, _ batch: Batch, at index: Int, directory: RunDirectory?
  ) throws -> String {
    let path = try experiment.communicator.broadcast(
      (directory?.path ?? "")
        + "/debug/\(experiment.stage.filePrefix)nonfinite-step-\(String(format: "%08d", index)).h5")
    let draws = DrawRecorder()
    var record = begin(experiment, batch, at: index)
    let repeated = try TrainingStep(experiment).gradients(of: batch, at: index, draws: draws)
    addResults(&record, experiment, repeated, draws)
    try record.write(to: path, communicator: experiment.communicator)
    return path
  }

  private static func begin(_ experiment: Experiment, _ batch: Batch, at index: Int) -> StepRecord {
    let settings = experiment.settings
    var record = StepRecord(
      method: settings.method, stage: experiment.stage.name, config: experiment.stage.tree.resolvedJSON.line,
      seed: settings.seed, step: index, communicator: experiment.communicator)
    record.addGathered("samples/index", wide: batch.indices.map(Int64.init), perImage: [])
    for (number, view) in batch.views.enumerated() {
      record.addGathered("views/\(number)", floats: view.array, perImage: Array(view.shape.dims.dropFirst()))
    }
    let rate = experiment.rate.value(at: index)
    record.addSchedule("lr", rate)
    record.addSchedule("weight_decay", settings.optim.weightDecay)
    for (name, value) in experiment.method.schedule(at: experiment.context(at: index)) {
      record.addSchedule(name, value)
    }
    for tensor in experiment.weights { record.add("weights_before", withoutPrefix(tensor)) }
    for state in experiment.method.state { record.add("state_before", NamedTensor(state)) }
    return record
  }

  private static func addResults(
    _ record: inout StepRecord, _ experiment: Experiment, _ result: StepResult, _ draws: DrawRecorder
  ) {
    for tensor in experiment.gradients { record.add("gradients", tensor) }
    for entry in draws.entries {
      let perImage = Array(entry.shape.dropFirst())
      switch entry.values {
      case .ints(let values): record.addGathered("draws/\(entry.name)", ints: values, perImage: perImage)
      case .floats(let values): record.addGathered("draws/\(entry.name)", floats: values, perImage: perImage)
      }
    }
    record.addLoss("total", result.loss)
    for part in result.parts { record.addLoss(part.name, part.value) }
  }

  /// A weight under its parameter's name.
  private static func withoutPrefix(_ tensor: NamedTensor) -> NamedTensor {
    NamedTensor(name: String(tensor.name.dropFirst("student/".count)), shape: tensor.shape, payload: tensor.payload)
  }
}

extension Experiment {
  /// The names of the parameters whose gradient is not finite.
  func nonFiniteGradients() -> [String] {
    arena.trainable.indices.filter { index in
      let gradient = arena.slice(arena.reducedGradients, at: index)
      return Kernels.nonFiniteCount(gradient.pointer, count: gradient.count) > 0
    }.map { arena.trainable[$0].name }
  }
}
