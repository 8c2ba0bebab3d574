import Basics
import Messaging
import Tensors

/// Where features come from: what a report says about them, and what must match when features are read from files.
public struct FeatureOrigin: Equatable, Sendable {
  /// The path of the checkpoint; empty for features that were made otherwise.
  public var checkpoint: String
  /// SHA-256 of the checkpoint, hexadecimal.
  public var checkpointHash: String
  /// Which weights of it: `student`, `ema`.
  public var weights: String
  /// The kind of feature, as `FeatureKind.description` writes it.
  public var feature: String
  /// What was done with the images, in words: `eval(224, bicubic)`.
  public var transform: String
  /// The address of the images.
  public var data: String
  /// A hash of names and labels of the images, hexadecimal.
  public var dataHash: String

  /// An origin.
  public init(
    checkpoint: String = "", checkpointHash: String = "", weights: String = "", feature: String = "",
    transform: String = "", data: String = "", dataHash: String = ""
  ) {
    self.checkpoint = checkpoint
    self.checkpointHash = checkpointHash
    self.weights = weights
    self.feature = feature
    self.transform = transform
    self.data = data
    self.dataHash = dataHash
  }
}

/// The features of some images, dealt to the ranks in blocks: rank r of P has the `blockRange` of the images, none twice
/// and none added. Labels are whole on every rank.
///
/// - Source: spec/evaluation.md 1.3.
public struct FeatureSet: Sendable {
  /// The features of this rank's images, [range.count, itemShape...].
  public let rows: Tensor
  /// The numbers of this rank's images in the set.
  public let range: Range<Int>
  /// Labels of all images, -1 for none, [count].
  public let labels: [Int32]
  /// The numbers of all images in their source, [count].
  public let indices: [Int64]
  /// The names of the classes; empty without labels.
  public let classNames: [String]
  /// Where the features come from.
  public let origin: FeatureOrigin

  /// A set of which this rank has `rows`.
  ///
  /// - Parameter indices: 0 ..< count when nil.
  /// - Shapes: rows [range.count, itemShape...].
  public init(
    rows: Tensor, range: Range<Int>, labels: [Int32], indices: [Int64]? = nil, classNames: [String] = [],
    origin: FeatureOrigin = FeatureOrigin()
  ) {
    precondition(
      rows.shape.rank >= 2 && rows.shape[0] == range.count && range.upperBound <= labels.count,
      "FeatureSet: rows \(rows.shape) for images \(range) of \(labels.count)")
    self.rows = rows
    self.range = range
    self.labels = labels
    self.indices = indices ?? labels.indices.map(Int64.init)
    self.classNames = classNames
    self.origin = origin
  }

  /// The set of features that every rank has whole, for tests and small sets: each rank keeps its block.
  ///
  /// - Shapes: whole [n, itemShape...]; labels [n].
  public init(dealing whole: Tensor, labels: [Int32], classNames: [String] = [], to communicator: Communicator) {
    let range = blockRange(count: labels.count, part: communicator.rank, of: communicator.size)
    self.init(rows: whole.rows(range), range: range, labels: labels, classNames: classNames)
  }

  /// Images of all ranks.
  public var count: Int { labels.count }
  /// The shape of one feature: [D], or [L, D] for a feature of tokens.
  public var itemShape: [Int] { Array(rows.shape.dims.dropFirst()) }
  /// Numbers of one feature.
  public var width: Int { itemShape.reduce(1, *) }
  /// The labels of this rank's images, [range.count].
  public var ownLabels: ArraySlice<Int32> { labels[range] }
  /// How many classes labels name: at least one more than the largest label.
  public var classes: Int { max(classNames.count, Int(labels.max() ?? -1) + 1) }
}
