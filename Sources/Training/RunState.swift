import Autodiff
import Basics
import Checkpoints
import Layers
import Methods
import Optimizers
import Parallelism
import Settings

extension Experiment {
  /// The weights under their names in a checkpoint: `student/blocks.0.attn.qkv.weight`.
  var weights: [NamedTensor] {
    arena.parameters.map(NamedTensor.init(weight:))
  }

  /// The reduced gradients of what is trained, for a step record.
  var gradients: [NamedTensor] {
    arena.trainable.enumerated().map { index, parameter in
      NamedTensor(
        name: parameter.name, shape: parameter.shape.dims,
        payload: .float32(arena.slice(arena.reducedGradients, at: index).pointer))
    }
  }

  /// Everything that has to be saved for the run to go on as if nothing had happened.
  var state: [NamedTensor] { weights + (optimizer.state + method.state).map(NamedTensor.init) }

  /// Saves nothing; compares everything that must be equal on all ranks.
  ///
  /// - Throws: `Failure` of code 4 that names the tensor and the rank.
  /// - Collective: all ranks.
  func checkReplicas() throws {
    let items =
      [("student weights", arena.weights), ("optimizer/m", optimizer.firstMoment)]
      + [("optimizer/v", optimizer.secondMoment)]
      + method.state.compactMap { state in
        if case .floats(let tensor) = state.payload { return (state.name, tensor) }
        return nil
      }
    // Nodes that keep a copy each must keep the same one.
    let copies = method.state.compactMap { state -> ReplicaCheck.Digest? in
      guard case .global(let rows) = state.payload, let whole = rows.whole else { return nil }
      return ReplicaCheck.digest(
        state.name, UnsafeRawBufferPointer(start: whole, count: rows.count * rows.rowBytes))
    }
    try ReplicaCheck.verify(ReplicaCheck.hashes(items) + copies, communicator)
  }

  /// What a checkpoint after `done` updates says of the run.
  func header(after done: Int) -> CheckpointHeader {
    let config = stage.tree.resolvedJSON.line
    return CheckpointHeader(
      step: done, epoch: length.epoch(of: done), imagesSeen: done * length.globalBatch, seed: settings.seed,
      globalBatch: length.globalBatch, config: config, configHash: String(stableHash(config), radix: 16),
      worldSize: communicator.size, method: settings.method, stage: stage.name, model: settings.model.arch,
      versions: Versions.all,
      extra: [("data", train.address), ("data_fingerprint", String(train.fingerprint, radix: 16))]
        + (origin.map { [("from", $0)] } ?? []))
  }
}

extension CheckpointHeader {
  /// A run may change its length, its data's place and its number of ranks, but not what its numbers depend on.
  func requireSameRun(as run: PlannedStage, _ length: RunLength, _ path: String) throws(Failure) {
    let settings = run.settings
    guard method == settings.method else {
      throw Failure(
        .badData, "the checkpoint is of method \(method), the configuration says \(settings.method)", at: path,
        hint: "use the configuration of that run, or --init-from to take only the weights")
    }
    guard stage == run.name else {
      throw Failure(
        .badData, "the checkpoint is of stage \(stage), not of \(run.name)", at: path,
        hint: "to start the stage from it: stages.\(run.name).from=\(path)")
    }
    guard seed == settings.seed, globalBatch == length.globalBatch else {
      throw Failure(
        .badConfig,
        "the checkpoint has seed \(seed) and batch \(globalBatch), the configuration "
          + "\(settings.seed) and \(length.globalBatch)", at: path,
        hint: "a resumed run needs both as they were; use --init-from to start a new run from the weights")
    }
    guard step <= length.totalSteps else {
      throw Failure(
        .badConfig, "the checkpoint is at step \(step), the run ends at \(length.totalSteps)",
        at: path, hint: "raise train.epochs or train.max_steps")
    }
  }
}

extension NamedTensor {
  /// A weight as a checkpoint sees it.
  init(weight parameter: Parameter) {
    self.init(
      name: "student/\(parameter.name)", shape: parameter.shape.dims, payload: .float32(parameter.value.pointer))
  }

  /// A state of a method or an optimiser as a checkpoint sees it.
  init(_ state: NamedState) {
    switch state.payload {
    case .floats(let tensor):
      self.init(name: state.name, shape: state.shape, payload: .float32(tensor.pointer))
    case .integers(let block):
      self.init(name: state.name, shape: state.shape, payload: .int64(block.base))
    case .global(let rows):
      self.init(name: state.name, shape: state.shape, payload: .scattered(rows))
    }
  }
}
