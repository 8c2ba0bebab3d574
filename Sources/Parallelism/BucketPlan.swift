import Layers

/// How an arena's gradients are cut into buckets, in the order in which backward finishes them.
///
/// Backward runs from the last layer to the first, so bucket 0 holds the last parameters. The cut depends on the
/// arena and on `bucketBytes` alone: it is the same on all ranks and in all runs.
struct BucketPlan: Equatable {
  struct Bucket: Equatable {
    /// Indices into `ParameterArena.trainable`.
    let parameters: Range<Int>
    /// Positions in the gradient block, padding included.
    let elements: Range<Int>
  }

  /// The first bucket is smaller, so that communication starts early.
  static let firstBytes = 1 << 20

  let buckets: [Bucket]

  /// Cuts at parameter boundaries: a bucket is closed when it holds at least its size.
  /// - Parameters:
  ///   - starts: where each parameter begins in the block, rising from 0.
  ///   - count: the length of the block.
  init(starts: [Int], count: Int, bucketBytes: Int) {
    precondition(bucketBytes > 0, "BucketPlan: buckets of \(bucketBytes) bytes")
    precondition(starts.first ?? 0 == 0, "BucketPlan: the first parameter begins at \(starts.first ?? 0)")
    var buckets: [Bucket] = []
    var end = starts.count
    var elementEnd = count
    for index in starts.indices.reversed() {
      let limit = buckets.isEmpty ? min(Self.firstBytes, bucketBytes) : bucketBytes
      let bytes = (elementEnd - starts[index]) * MemoryLayout<Float>.size
      guard bytes >= limit || index == 0 else { continue }
      buckets.append(Bucket(parameters: index..<end, elements: starts[index]..<elementEnd))
      end = index
      elementEnd = starts[index]
    }
    self.buckets = buckets
  }

  /// Cuts the gradients of an arena.
  init(of arena: ParameterArena, bucketBytes: Int) {
    self.init(
      starts: arena.trainable.indices.map { arena.range(at: $0).lowerBound }, count: arena.trainableCount,
      bucketBytes: bucketBytes)
  }

  /// The bucket of each parameter.
  var bucketOfParameter: [Int] {
    var places = [Int](repeating: 0, count: buckets.first?.parameters.upperBound ?? 0)
    for (number, bucket) in buckets.enumerated() {
      for index in bucket.parameters { places[index] = number }
    }
    return places
  }
}
