import Basics
import Messaging
import Pipeline
import Tensors

/// How features are extracted.
public struct ExtractionOptions {
  /// Images of one forward pass on one rank.
  public var batch = 32
  /// Threads of a rank that decode ahead.
  public var workers = 1
  /// Whether an image that cannot be read is taken as the mean colour instead of being an error.
  public var allowsBadImages = false
  /// Is told how many images of this rank are done, of how many.
  public var progress: (_ done: Int, _ of: Int) -> Void = { _, _ in }

  /// The usual.
  public init() {}
}

/// Makes features of images with all ranks: rank r has the `blockRange` of the images, none twice and none added.
///
/// A feature has the same bits for every number of ranks and threads and every batch size: the program's own product
/// is used, whose sums do not depend on what else is multiplied.
/// - Source: spec/evaluation.md 1.3.
public struct Extraction {
  /// The images.
  public let source: DataSource
  /// The numbers of the chosen images in the source, in their order.
  public let indices: [Int]
  /// How an image is made.
  public var preparation: ImagePreparation
  /// How it is done; no number depends on it.
  public var options = ExtractionOptions()

  /// Batches between two agreements of the ranks: a failure of one ends the others after so many.
  private static let batchesTogether = 16

  /// Features of some images of a source, all of them when `indices` is nil.
  public init(_ source: DataSource, _ preparation: ImagePreparation, indices: [Int]? = nil) {
    self.source = source
    self.preparation = preparation
    self.indices = indices ?? Array(0..<source.count)
  }

  /// What a pass makes of some consecutive images.
  public struct Portion {
    /// Their places among the chosen ones.
    public let range: Range<Int>
    /// The images, [range.count, 3, S, S].
    public let images: Tensor
    /// For each kind, [range.count, itemShape...].
    public let features: [Tensor]
  }

  /// The images of this rank, by their places among the chosen ones.
  public func range(_ communicator: Communicator) -> Range<Int> {
    blockRange(count: indices.count, part: communicator.rank, of: communicator.size)
  }

  /// Encodes the images of this rank and hands them on, batch after batch.
  ///
  /// - Parameters:
  ///   - kinds: names for messages, of what `encode` returns.
  ///   - encode: [B, 3, S, S] -> for each kind [B, itemShape...]; it may not communicate.
  ///   - use: takes the features of a batch; it may not communicate.
  /// - Throws: on all ranks: bad data naming an image that cannot be read; non-finite naming an image whose feature is
  ///   not a number; what `encode` and `use` throw.
  /// - Collective: all ranks.
  public func run(
    _ kinds: [FeatureKind], _ communicator: Communicator, encode: (Tensor) throws(Failure) -> [Tensor],
    use: (Portion) throws(Failure) -> Void
  ) throws(Failure) {
    let (own, batch) = (range(communicator), options.batch)
    let reader = ImageReader(
      source, preparation, indices: Array(indices[own]), batch: batch, threads: min(options.workers, own.count))
    let longest = blockRange(count: indices.count, part: 0, of: communicator.size).count
    for first in stride(from: 0, to: (longest + batch - 1) / batch, by: Self.batchesTogether) {
      try communicator.agreed { () throws(Failure) in
        for _ in first..<first + Self.batchesTogether {
          guard let batch = reader.next() else { return }
          try checkImages(batch)
          let features = try ProductEngine.withNative { () throws(Failure) in try encode(batch.images) }
          let range = own.lowerBound + batch.range.lowerBound..<own.lowerBound + batch.range.upperBound
          try checkNumbers(features, kinds, range)
          try use(Portion(range: range, images: batch.images, features: features))
          options.progress(batch.range.upperBound, own.count)
        }
      }
    }
  }

  /// The features of all images, for each kind a set whose origin names the kind, the transform and the data.
  ///
  /// - Parameters:
  ///   - itemShapes: of what `encode` returns.
  ///   - origin: what is known about the encoder.
  /// - Throws: as `run`.
  /// - Collective: all ranks.
  public func features(
    _ kinds: [FeatureKind], itemShapes: [[Int]], origin: FeatureOrigin = FeatureOrigin(), _ communicator: Communicator,
    encode: (Tensor) throws(Failure) -> [Tensor]
  ) throws(Failure) -> [FeatureSet] {
    precondition(kinds.count == itemShapes.count, "Extraction: \(kinds.count) kinds, \(itemShapes.count) shapes")
    let own = range(communicator)
    let rows = itemShapes.map { Tensor(uninitialized: Shape([own.count] + $0)) }
    try run(kinds, communicator, encode: encode) { (portion) throws(Failure) in
      for (place, part) in zip(rows, portion.features) {
        let first = portion.range.lowerBound - own.lowerBound
        place.rows(first..<first + portion.range.count).assign(part)
      }
    }
    let (labels, numbers) = (indices.map { source.label($0) }, indices.map(Int64.init))
    return zip(kinds, rows).map { kind, rows in
      FeatureSet(
        rows: rows, range: own, labels: labels, indices: numbers, classNames: source.classNames,
        origin: self.origin(origin, kind))
    }
  }

  /// An origin completed by what this extraction knows.
  public func origin(_ origin: FeatureOrigin, _ kind: FeatureKind) -> FeatureOrigin {
    var result = origin
    result.feature = kind.description
    result.transform = preparation.description
    result.data = source.address
    result.dataHash = String(source.fingerprint, radix: 16)
    return result
  }

  private func checkImages(_ batch: ImageReader.Batch) throws(Failure) {
    guard !options.allowsBadImages, let image = batch.bad.first else { return }
    throw Failure(
      .badData, "cannot evaluate image \(image.name): \(image.reason)", at: source.address,
      hint: "repair or remove the file: results over different images cannot be compared")
  }

  private func checkNumbers(_ features: [Tensor], _ kinds: [FeatureKind], _ range: Range<Int>) throws(Failure) {
    precondition(features.count == kinds.count, "Extraction: \(features.count) features for \(kinds.count) kinds")
    for (feature, kind) in zip(features, kinds) {
      guard let row = feature.firstNonFiniteRow else { continue }
      throw Failure(
        .nonFinite, "the feature '\(kind)' of image \(source.name(indices[range.lowerBound + row])) is not a number",
        at: source.address,
        hint: "the weights have diverged, or the file is damaged: sslmpi inspect CHECKPOINT --verify")
    }
  }
}
