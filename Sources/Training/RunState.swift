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
    arena.parameters.map {
      NamedTensor(name: "student/\($0.name)", shape: $0.shape.dims, payload: .float32($0.value.pointer))
    }
  }

  /// The gradients, for a step record.
  var gradients: [NamedTensor] {
    arena.parameters.map {
      NamedTensor(name: $0.name, shape: $0.shape.dims, payload: .float32($0.gradient.pointer))
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
    try ReplicaCheck.verify(items, communicator)
  }

  /// What a checkpoint after `done` updates says of the run.
  func header(after done: Int) -> CheckpointHeader {
    CheckpointHeader(
      step: done, epoch: length.epoch(of: done), imagesSeen: done * length.globalBatch, seed: settings.seed,
      globalBatch: length.globalBatch, config: resolved.resolvedJSON.line,
      configHash: String(stableHash(resolved.resolvedJSON.line), radix: 16), worldSize: communicator.size,
      method: settings.method, model: settings.model.arch, versions: Versions.all,
      extra: [("data", train.address), ("data_fingerprint", String(train.fingerprint, radix: 16))])
  }
}

extension NamedTensor {
  /// A state of a method or an optimiser as a checkpoint sees it.
  init(_ state: NamedState) {
    switch state.payload {
    case .floats(let tensor):
      self.init(name: state.name, shape: state.shape, payload: .float32(tensor.pointer))
    case .integers(let block):
      self.init(name: state.name, shape: state.shape, payload: .int64(block.base))
    }
  }
}
