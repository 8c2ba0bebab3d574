import Tensors

extension Batch {
  /// Images of this rank.
  public var count: Int { indices.count }

  /// Some consecutive images of the batch; the pixels are shared.
  public func slice(_ range: Range<Int>) -> Batch {
    Batch(
      views: views.map { $0.rows(range) }, indices: Array(indices[range]), sampled: Array(sampled[range]),
      labels: Array(labels[range]), epoch: epoch, globalBatch: globalBatch)
  }

  /// The first images of the batch, at most all.
  public func prefix(_ length: Int) -> Batch { slice(0..<min(length, count)) }

  /// The batch cut into parts of at most `size` images, or whole when `size` is nil.
  public func microBatches(of size: Int?) -> [Batch] {
    guard let size, size < count else { return [self] }
    return stride(from: 0, to: count, by: size).map { start in slice(start..<min(start + size, count)) }
  }
}
