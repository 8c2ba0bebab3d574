import Basics
import Tensors

/// Delivers this rank's batches in step order, made ahead of time by decode threads.
///
/// The content of a batch depends on (seed, step, rank's block) alone: not on threads, prefetch, or where the loader
/// began. Decode threads read files and decode; they never call MPI. One thread calls `next()`.
public final class Loader {
  /// Whole batches in an epoch.
  public var stepsPerEpoch: Int { sampler.stepsPerEpoch }
  /// Seconds that `next()` has spent waiting for images since the loader began.
  public private(set) var waitSeconds = 0.0
  private let source: DataSource
  private let plan: ViewPlan
  private let rank: Int
  private let ranks: Int
  private let queue: DecodeQueue
  private let ownMaker: SampleMaker?
  private var sampler: EpochSampler
  private var nextStep: Int
  private var reported: Set<Int> = []
  private var newlyBad: [BadImage] = []

  /// Starts making batches.
  ///
  /// - Parameters:
  ///   - globalBatch: images of a step over all ranks, at least one a rank.
  ///   - threads: decode threads; 0 makes each batch inside `next()`.
  ///   - prefetch: batches in the making at any time, at least 1.
  ///   - firstStep: the global step to begin with; costs the same for any value.
  ///   - scaledDecode: see `ViewMaker.scaledDecode`.
  /// - Throws: `Failure` of code 78 when the batch does not fit the dataset or the ranks.
  /// - Memory: `prefetch` batches of views.
  public init(
    source: DataSource, plan: ViewPlan, seed: UInt64, globalBatch: Int, rank: Int, ranks: Int, threads: Int,
    prefetch: Int, firstStep: Int = 0, scaledDecode: Bool = true
  ) throws(Failure) {
    precondition(threads >= 0 && prefetch >= 1 && firstStep >= 0, "Loader: threads \(threads), prefetch \(prefetch)")
    sampler = try EpochSampler(count: source.count, globalBatch: globalBatch, seed: seed)
    guard globalBatch >= ranks else {
      throw Failure(
        .badConfig, "the global batch of \(globalBatch) leaves some of \(ranks) ranks without images",
        hint: "set train.batch_size to at least \(ranks), or start fewer ranks")
    }
    self.source = source
    self.plan = plan
    self.rank = rank
    self.ranks = ranks
    nextStep = firstStep
    queue = DecodeQueue(threads: threads)
    ownMaker = threads == 0 ? SampleMaker(source: source, plan: plan, seed: seed, scaledDecode: scaledDecode) : nil
    for thread in 0..<threads {
      startThread(named: "decode-\(thread)") { [queue] in
        queue.serve(SampleMaker(source: source, plan: plan, seed: seed, scaledDecode: scaledDecode).make)
      }
    }
    if threads > 0 { for _ in 0..<prefetch { schedule() } }
  }

  deinit { queue.stop() }

  /// The next batch of this rank; waits until it is ready.
  ///
  /// - Throws: `Failure` of code 65 when an image and all its stand-ins are bad.
  public func next() throws(Failure) -> Batch {
    let began = monotonicSeconds()
    defer { waitSeconds += monotonicSeconds() - began }
    if let ownMaker {
      schedule()
      queue.helpFirst(ownMaker.make)
    }
    let made = queue.takeFirst()
    if ownMaker == nil { schedule() }
    for row in made.rows {
      for image in row.bad where reported.insert(image.index).inserted { newlyBad.append(image) }
    }
    if let failure = made.failure { throw failure }
    let indices = made.rows.map(\.used)
    return Batch(
      views: made.slot.views, indices: indices, sampled: made.slot.sampled, labels: indices.map { source.label($0) },
      epoch: made.slot.epoch, globalBatch: sampler.globalBatch)
  }

  /// The bad images met since the last call, in sample order; each image is named once.
  public func takeBadImages() -> [BadImage] {
    defer { newlyBad = [] }
    return newlyBad
  }

  /// Ends the decode threads and waits for them; `next()` must not be called any more.
  public func stop() { queue.stop() }

  private func schedule() {
    let sampled = sampler.indices(step: nextStep, rank: rank, of: ranks)
    let views = plan.views.map { Tensor(uninitialized: [sampled.count, 3, $0.size, $0.size]) }  // [b, 3, S, S]
    let epoch = sampler.epoch(ofStep: nextStep)
    queue.append(DecodeQueue.Slot(epoch: epoch, sampled: sampled, views: views))
    nextStep += 1
  }
}
