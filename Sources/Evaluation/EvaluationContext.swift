import Basics
import Features
import Images
import Messaging
import Pipeline
import Tensors
import Weights

/// What a protocol works with: the features of the parts of one dataset, and the encoder and the images behind them.
public final class EvaluationContext {
  /// The ranks.
  public let communicator: Communicator
  /// The first key of every random draw.
  public let seed: UInt64
  /// The directory of the run that is evaluated; nil for a checkpoint or features from elsewhere.
  public var runDirectory: String?
  /// The kind of feature that is meant when none is named.
  public let kind: FeatureKind?
  /// The encoder; nil when the features come from elsewhere.
  public let encoder: Encoder?
  /// The images; nil when there are only features.
  public let splits: DataSplits?
  /// The features in files; nil when the encoder makes them.
  public let stored: StoredFeatures?
  /// How the images of the evaluation view are resized.
  public let interpolation: Interpolation
  /// How features are extracted.
  public var options = ExtractionOptions()
  /// Masks that are given, by split; see `masks(_:)`.
  public var masks: [Split: SplitMasks] = [:]
  /// Where the masks of images of files are; nil for generated images.
  public var maskRoot: String?
  private var known: [Key: FeatureSet] = [:]

  private struct Key: Hashable {
    let split: Split
    let kind: FeatureKind?
  }

  /// A context of features that are already there, of any kind.
  public init(_ sets: [Split: FeatureSet], seed: UInt64 = 0, communicator: Communicator) {
    self.communicator = communicator
    self.seed = seed
    interpolation = .bicubic
    (kind, encoder, splits, stored) = (nil, nil, nil, nil)
    for (split, set) in sets { known[Key(split: split, kind: nil)] = set }
  }

  /// A context of an encoder and images, for protocols that work on features of `kind`.
  public init(
    encoder: Encoder, splits: DataSplits, kind: FeatureKind?, interpolation: Interpolation = .bicubic,
    seed: UInt64 = 0, communicator: Communicator
  ) {
    self.communicator = communicator
    self.seed = seed
    self.kind = kind
    self.encoder = encoder
    self.splits = splits
    self.interpolation = interpolation
    stored = nil
  }

  /// A context of features in files.
  ///
  /// - Parameters:
  ///   - splits: the images behind them, for protocols that look at those too.
  ///   - kind: nil for the only kind that the files hold.
  /// - Throws: bad data when the features are of other images.
  public init(
    stored: StoredFeatures, splits: DataSplits?, kind: FeatureKind?, seed: UInt64 = 0, communicator: Communicator
  ) throws(Failure) {
    if let splits { try stored.requireMatch(splits) }
    self.communicator = communicator
    self.seed = seed
    self.kind = kind
    self.splits = splits
    self.stored = stored
    interpolation = .bicubic
    encoder = nil
  }

  /// Images of the part that is measured on; 0 when there is none.
  public var images: Int {
    known.first { $0.key.split == .val }?.value.count ?? (try? splits?.source(.val).count)
      ?? (try? stored?.file(.val).manifest.count) ?? 0
  }

  /// How the encoder's images are made.
  ///
  /// - Parameter interpolation: that of the evaluation view when nil.
  public func preparation(
    _ view: ImageView = .evaluation, interpolation: Interpolation? = nil, for encoder: Encoder
  ) -> ImagePreparation {
    ImagePreparation(
      view, size: encoder.configuration.imgSize, interpolation: interpolation ?? self.interpolation, mean: encoder.mean,
      std: encoder.std, seed: seed)
  }

  /// The features of the evaluation view of a split, made once and kept.
  ///
  /// - Throws: input missing when there is no such split or view; usage when the encoder has no such feature;
  ///   non-finite when a feature is not a number.
  /// - Collective: all ranks.
  public func features(_ split: Split) throws(Failure) -> FeatureSet { try features(split, kinds: [kind])[0] }

  /// The features of a training view of a split, which are not kept.
  ///
  /// - Throws: as `features(_:)`.
  /// - Collective: all ranks.
  public func features(_ split: Split, pass: Int, _ interpolation: Interpolation) throws(Failure) -> FeatureSet {
    try made([Key(split: split, kind: kind)], .training(pass: pass), interpolation)[0]
  }

  /// The features of a split of several kinds, from one pass over its images.
  ///
  /// - Throws: as above.
  /// - Collective: all ranks.
  public func features(_ split: Split, kinds: [FeatureKind]) throws(Failure) -> [FeatureSet] {
    try features(split, kinds: kinds.map(Optional.init))
  }

  private func features(_ split: Split, kinds: [FeatureKind?]) throws(Failure) -> [FeatureSet] {
    let keys = kinds.map { Key(split: split, kind: $0) }
    let missing = keys.filter { known[$0] == nil }
    for (key, set) in zip(missing, try made(missing, .evaluation, interpolation)) { known[key] = set }
    return keys.compactMap { known[$0] }
  }

  private func made(
    _ keys: [Key], _ view: ImageView, _ interpolation: Interpolation
  ) throws(Failure) -> [FeatureSet] {
    guard let split = keys.first?.split else { return [] }
    if let stored, view == .evaluation {
      let file = try stored.file(split)
      return try keys.map { (key) throws(Failure) in try file.features(key.kind, communicator: communicator) }
    }
    guard let encoder, let splits else {
      let what = view == .evaluation ? "features of the split '\(split.rawValue)'" : "training views"
      throw Failure(
        .inputMissing, "there are no \(what)\(keys[0].kind.map { " of kind \($0)" } ?? "")", at: "--features",
        hint: "give a checkpoint and --data instead")
    }
    let kinds = keys.compactMap(\.kind)
    precondition(kinds.count == keys.count, "EvaluationContext: a protocol without features asks for some")
    var shapes: [[Int]] = []
    for kind in kinds { shapes.append(try encoder.itemShape(kind)) }
    var extraction = Extraction(try splits.source(split), preparation(view, interpolation: interpolation, for: encoder))
    extraction.options = options
    return try extraction.features(kinds, itemShapes: shapes, origin: encoder.origin, communicator) {
      encoder.features($0, kinds)
    }
  }
}
