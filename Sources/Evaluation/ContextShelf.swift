import Basics
import Features
import Images
import Messaging
import Pipeline
import Weights

/// The contexts of one call of `sslmpi eval`: one for each dataset and kind of feature, so that no protocol extracts
/// again what another one had extracted.
final class ContextShelf {
  private let request: EvaluationRequest
  private let communicator: Communicator
  private let target: CheckpointTarget?
  private let encoder: Encoder?
  private let stored: StoredFeatures?
  private let hash: String
  private var datasets: [Dataset: DataSplits] = [:]
  private var contexts: [Key: EvaluationContext] = [:]

  /// What a protocol looks at.
  private enum Dataset: Hashable {
    /// Images with one class each.
    case objects
    /// Images with a class for every pixel.
    case scenes
  }

  private struct Key: Hashable {
    let dataset: Dataset
    let kind: FeatureKind?
    let interpolation: Interpolation
  }

  /// Reads the encoder.
  ///
  /// - Collective: all ranks.
  init(_ request: EvaluationRequest, _ target: CheckpointTarget?, _ communicator: Communicator) throws(Failure) {
    self.request = request
    self.communicator = communicator
    self.target = target
    guard (target == nil) != (request.features == nil) else {
      throw Failure(
        .usage, target == nil ? "there is nothing to measure" : "a checkpoint and --features are given",
        at: "sslmpi eval \(request.name)",
        hint: "name a run or a checkpoint, or give --features that sslmpi embed wrote")
    }
    stored = try request.features.map { (path) throws(Failure) in
      try StoredFeatures(path, communicator: communicator)
    }
    guard let target else {
      (encoder, hash) = (nil, "")
      return
    }
    let found = try Encoder(target.path, weights: request.weights, communicator: communicator)
    encoder = try request.size.map { (side) throws(Failure) in try found.resized(to: side) } ?? found
    hash = try FileHash.sha256(target.path, communicator)
  }

  /// The kinds of feature that a protocol is run for.
  ///
  /// - Throws: usage for an unknown kind.
  func kinds(for evaluator: any Evaluator) throws(Failure) -> [FeatureKind?] {
    switch evaluator.feature {
    case .none: return [nil]
    case .patches where request.kinds.isEmpty || request.name == "all": return [FeatureKind(.patches([]))]
    case .image where request.kinds.isEmpty: return [encoder?.defaultKind]
    default:
      var kinds: [FeatureKind?] = []
      for word in request.kinds { kinds.append(try FeatureKind(parsing: word)) }
      return kinds
    }
  }

  /// The context of a protocol for a kind of feature.
  ///
  /// - Throws: input missing when the data are.
  /// - Collective: all ranks.
  func context(for evaluator: any Evaluator, _ kind: FeatureKind?) throws(Failure) -> EvaluationContext {
    // Without features there is no need for images either.
    guard evaluator.feature != .none else {
      let context = EvaluationContext([:], seed: request.seed, communicator: communicator)
      context.runDirectory = target?.run
      return context
    }
    let key = Key(
      dataset: evaluator.feature == .patches ? .scenes : .objects, kind: kind,
      interpolation: evaluator.interpolation)
    if let context = contexts[key] { return context }
    let context = try made(key)
    context.options.batch = request.batch
    context.maskRoot = request.masks
    contexts[key] = context
    return context
  }

  private func made(_ key: Key) throws(Failure) -> EvaluationContext {
    if let stored {
      let hasData = request.data != nil || request.train != nil || request.val != nil
      return try EvaluationContext(
        stored: stored, splits: hasData ? try splits(key.dataset) : nil, kind: key.kind, seed: request.seed,
        communicator: communicator)
    }
    guard let encoder else { preconditionFailure("ContextShelf: neither a checkpoint nor features") }
    return EvaluationContext(
      encoder: encoder, splits: try splits(key.dataset), kind: key.kind, interpolation: key.interpolation,
      seed: request.seed, communicator: communicator)
  }

  /// What a report says about the features of a context.
  func origin(of context: EvaluationContext) throws(Failure) -> FeatureOrigin {
    var origin = encoder?.origin ?? FeatureOrigin()
    if context.kind != nil {
      origin = try context.features(.val).origin
    } else if let file = try stored?.file(.val) {
      origin = file.manifest.origin
      origin.feature = file.kinds.map(\.description).joined(separator: ", ")
    }
    if origin.checkpointHash.isEmpty { origin.checkpointHash = hash }
    return origin
  }

  /// The images: those that are named, those of the small suite, or those of the run.
  private func splits(_ dataset: Dataset) throws(Failure) -> DataSplits {
    if let open = datasets[dataset] { return open }
    let named = try DataAddresses(request, encoder)
    let addresses = dataset == .scenes ? named.scenes : named
    let splits = try DataSplits.open(addresses.root, train: addresses.train, val: addresses.val)
    datasets[dataset] = splits
    return splits
  }
}
