import Basics

/// Which images a step trains on, from the step's number alone.
///
/// Each epoch is one random order of all images, keyed by (seed, epoch). Step t of the epoch takes positions
/// tB ..< (t + 1)B, a rank takes its block of those; the images of the last partial batch wait for another epoch.
/// - Source: spec/mae-ct.md section 7, row 16.
public struct EpochSampler: Sendable {
  /// Images of the dataset.
  public let count: Int
  /// Images of a step over all ranks.
  public let globalBatch: Int
  private let seed: UInt64
  private var order: [Int32] = []
  private var orderedEpoch = -1

  /// Makes a sampler.
  ///
  /// - Throws: `Failure` of code 78 when the dataset cannot fill one batch.
  public init(count: Int, globalBatch: Int, seed: UInt64) throws(Failure) {
    guard globalBatch >= 1 else {
      throw Failure(.badConfig, "train.batch_size is \(globalBatch)", hint: "it is the global batch, at least 1")
    }
    guard count >= globalBatch else {
      throw Failure(
        .badConfig, "the global batch of \(globalBatch) is larger than the dataset of \(count) images",
        hint: "set train.batch_size to at most \(count), or use more data")
    }
    guard count <= Int(Int32.max) else {
      throw Failure(.badConfig, "the dataset has \(count) images; at most \(Int32.max) are possible")
    }
    self.count = count
    self.globalBatch = globalBatch
    self.seed = seed
  }

  /// Whole batches in an epoch.
  public var stepsPerEpoch: Int { count / globalBatch }

  /// The epoch that step `step` belongs to, both from 0.
  public func epoch(ofStep step: Int) -> Int { step / stepsPerEpoch }

  /// The dataset indices of one rank's block of step `step`, in the global sample order.
  public mutating func indices(step: Int, rank: Int, of ranks: Int) -> [Int] {
    let epoch = epoch(ofStep: step)
    if epoch != orderedEpoch {
      var stream = RandomStream(seed: seed, purpose: .permutation, epoch: epoch)
      order = stream.permutation(count)
      orderedEpoch = epoch
    }
    let first = (step % stepsPerEpoch) * globalBatch
    return blockRange(count: globalBatch, part: rank, of: ranks).map { Int(order[first + $0]) }
  }
}
