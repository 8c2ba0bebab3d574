import Tensors

/// One rank's block of a global batch.
///
/// b is this rank's number of images; they are consecutive in the global sample order.
public struct Batch: Sendable {
  /// One tensor a view of the plan: [b, 3, S, S].
  public let views: [Tensor]
  /// The dataset index of each image, after broken ones were replaced: [b].
  public let indices: [Int]
  /// The dataset index that the sampler drew, before replacement: [b].
  public let sampled: [Int]
  /// The label of each image, -1 for none: [b].
  public let labels: [Int32]
  /// The epoch that the batch belongs to, from 0.
  public let epoch: Int
  /// Images of the batch over all ranks.
  public let globalBatch: Int

  /// A batch of given pixels.
  public init(
    views: [Tensor], indices: [Int], sampled: [Int], labels: [Int32], epoch: Int, globalBatch: Int
  ) {
    self.views = views
    self.indices = indices
    self.sampled = sampled
    self.labels = labels
    self.epoch = epoch
    self.globalBatch = globalBatch
  }
}

/// An image that could not be read, and why.
public struct BadImage: Equatable, Sendable {
  /// Its index in the dataset.
  public let index: Int
  /// Its name in the dataset.
  public let name: String
  /// What is wrong with it, in one sentence.
  public let reason: String

  /// Names a bad image.
  public init(index: Int, name: String, reason: String) {
    self.index = index
    self.name = name
    self.reason = reason
  }
}
