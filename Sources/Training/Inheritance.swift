import Basics
import Checkpoints
import Methods

extension Experiment {
  /// Takes over the parts of a checkpoint that the method names, and says which they were.
  ///
  /// - Returns: the names of the parts that were loaded.
  /// - Throws: bad data with the differences when a required part is missing or does not fit.
  /// - Collective: all ranks.
  func inherit(from path: String, _ observer: Observer) throws -> [String] {
    let whole = try CheckpointReader.compare(weights, with: path, communicator: communicator)
    if let failure = Inheritance.otherPositions(whole, path) { throw failure }
    let named = method.heritage
    let parts = named.isEmpty ? [Heritage(part: "model", parameters: arena.parameters, isRequired: true)] : named
    var taken: [(part: String, tensors: [NamedTensor])] = []
    for part in parts {
      let tensors = part.parameters.map(NamedTensor.init(weight:)) + part.state.map(NamedTensor.init)
      let report = try CheckpointReader.compare(tensors, with: path, communicator: communicator)
      if report.matched.count == tensors.count {
        taken.append((part.part, tensors))
      } else if part.isRequired {
        throw Inheritance.failure(part.part, of: stage, report, path)
      } else {
        // A file without the part is what a first stage leaves; one with another part of its name may be a mistake.
        let hasOther = report.missing.count < tensors.count
        observer.say(
          "\(hasOther ? "warning: " : "")\(stage.title): \(part.part) starts from scratch: \(report.matched.count) of its "
            + "\(tensors.count) tensors fit \(path)")
      }
    }
    _ = try CheckpointReader.load(
      into: taken.flatMap(\.tensors), from: path, communicator: communicator, allowUnexpected: true)
    for (part, tensors) in taken {
      observer.say("\(stage.title): \(part) (\(tensors.count) tensors) from \(path)")
    }
    return taken.map(\.part)
  }
}

/// Words about what is taken over.
private enum Inheritance {
  /// A table that would stay behind, or one that is nowhere, is no difference to pass over: every token needs it.
  static func otherPositions(_ report: LoadReport, _ path: String) -> Failure? {
    let name = "student/pos_embed"
    guard report.unexpected.contains(name) || report.missing.contains(name) else { return nil }
    let isInFile = report.unexpected.contains(name)
    return Failure(
      .badConfig,
      isInFile
        ? "the checkpoint holds positions of its own, and this run takes the sine-cosine table"
        : "this run takes stored positions, and the checkpoint holds none: its are the sine-cosine table",
      at: path, hint: "set model.pos_embed=\(isInFile ? "stored" : "sincos")")
  }

  static func failure(_ part: String, of stage: PlannedStage, _ report: LoadReport, _ path: String) -> Failure {
    // What the optimiser of the other run held is nothing to miss.
    let table = report.table.filter { !$0.contains("  unexpected  optimizer/") }
    return Failure(
      .badData, "the checkpoint does not fit \(part) of \(stage.title):\n\(table.joined(separator: "\n"))", at: path,
      hint: "check `model` with sslmpi inspect \(path); start from a checkpoint of the same model")
  }
}
