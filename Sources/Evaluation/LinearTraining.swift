import Basics
import Features
import Images
import Messaging
import Pipeline

/// Trains the heads of a linear probe and measures them after every epoch.
///
/// Heads are dealt to the ranks; the rows of a batch go to all of them. A batch is much smaller than the gradients of
/// all heads, which need not travel then, and every head does the same arithmetic as on one rank alone: weights and
/// counts have the same bits on any number of ranks.
struct LinearTraining {
  /// What a head reached.
  struct Outcome: Equatable {
    /// Images of the val split that were right after each epoch.
    var val: [Hits] = []
    /// Images kept apart of the train split that were right after each epoch.
    var holdout: [Hits] = []
    /// The mean loss of the last epoch, in nats.
    var loss = 0.0
    /// Whether the weights are numbers.
    var isFinite = false
  }

  /// How many images were right.
  struct Hits: Equatable {
    var top1 = 0
    var top5 = 0
  }

  let settings: LinearSettings
  let context: EvaluationContext
  let splits: LabelledSplits
  private let views: (_ pass: Int) throws(Failure) -> FeatureSet
  /// The features of stored passes; empty in the augmented mode.
  private let stored: [FeatureSet]
  /// Images of the train split that are learned from, rising.
  private let learned: [Int]
  /// Images of the train split that are kept apart, rising.
  let keptApart: [Int]

  /// Images a class that are kept apart to choose on.
  static let holdoutPerClass = 10
  /// Rows that are measured at a time.
  private static let tile = 1024

  private var communicator: Communicator { context.communicator }

  /// Gets the features ready.
  ///
  /// - Parameter views: the training views of a pass, labelled and checked.
  /// - Throws: as `LabelledSplits`; bad config when the batch is larger than the train split.
  /// - Collective: all ranks.
  init(
    _ settings: LinearSettings, _ context: EvaluationContext,
    views: @escaping (_ pass: Int) throws(Failure) -> FeatureSet
  ) throws(Failure) {
    self.settings = settings
    self.context = context
    self.views = views
    var sets: [FeatureSet] = []
    switch settings.mode {
    case .augmented: sets = []
    case .cachedEvaluation: sets = [try context.labelled(.train)]
    case .cached(let passes):
      for pass in 0..<passes { sets.append(try views(pass)) }
    }
    stored = sets
    let first: FeatureSet
    if let set = sets.first { first = set } else { first = try views(0) }
    splits = try LabelledSplits(train: first, context)
    keptApart =
      settings.selectsOnHoldout
      ? try Subset.perClass(LinearTraining.holdoutPerClass).chosen(from: splits, seed: context.seed) : []
    let apart = Set(keptApart)
    learned = splits.train.labels.indices.filter { !apart.contains($0) }
    guard settings.batch <= learned.count else {
      throw Failure(
        .badConfig, "a batch of \(settings.batch) images is larger than the \(learned.count) to learn from",
        at: "batch", hint: "write batch=\(max(learned.count / 8, 2)) or less")
    }
  }

  /// The same with the training views of the context.
  init(_ settings: LinearSettings, _ context: EvaluationContext) throws(Failure) {
    try self.init(settings, context) { pass throws(Failure) in
      try LinearTraining.views(of: pass, settings.trainInterpolation, context)
    }
  }

  /// Training views, with a word about what else there is when there are none.
  private static func views(
    of pass: Int, _ interpolation: Interpolation, _ context: EvaluationContext
  ) throws(Failure) -> FeatureSet {
    do throws(Failure) {
      return try context.labelled(.train, pass: pass, interpolation)
    } catch  where error.code == .inputMissing {
      throw Failure(
        .inputMissing, error.what, at: error.place,
        hint: "training views need the checkpoint and its images; mode=cached:eval learns from the evaluation view")
    }
  }

  private func features(ofEpoch epoch: Int) throws(Failure) -> FeatureSet {
    guard stored.isEmpty else { return stored[epoch % stored.count] }
    if epoch == 0 { return splits.train }
    return try views(epoch)
  }

  /// Trains all heads.
  ///
  /// - Returns: what every head reached, on all ranks.
  /// - Throws: non-finite when no head has weights that are numbers.
  /// - Collective: all ranks.
  func run() throws(Failure) -> [Outcome] {
    let own = try trained().outcomes
    let length = Outcome.length(epochs: settings.schedule.epochs)
    let heads = blockRange(count: settings.baseRates.count, part: communicator.rank, of: communicator.size)
    // What other ranks bring is added to zeros.
    var numbers = [Double](repeating: 0, count: settings.baseRates.count * length)
    numbers.replaceSubrange(heads.lowerBound * length..<heads.upperBound * length, with: own.flatMap(\.numbers))
    numbers = try communicator.allReduceSum(numbers)
    let outcomes = stride(from: 0, to: numbers.count, by: length).map { Outcome(numbers[$0..<$0 + length]) }
    guard outcomes.contains(where: \.isFinite) else {
      throw Failure(.nonFinite, "every head diverged", at: "base_lr", hint: "use smaller learning rates")
    }
    return outcomes
  }

  /// Trains the heads of this rank.
  ///
  /// - Returns: the heads, and what each of them reached.
  /// - Collective: all ranks.
  func trained() throws(Failure) -> (bank: LinearHeads, outcomes: [Outcome]) {
    let own = blockRange(count: settings.baseRates.count, part: communicator.rank, of: communicator.size)
    let design = LinearHeads.Design(
      width: splits.train.width, classes: splits.classes, normEpsilon: settings.normEpsilon,
      optimizer: settings.optimizer, momentum: settings.momentum, weightDecay: settings.weightDecay, seed: context.seed)
    let bank = LinearHeads(design, rates: settings.baseRates[own].map { settings.rate(ofBase: $0) })
    var outcomes = own.map { _ in Outcome() }
    var sampler = try EpochSampler(count: learned.count, globalBatch: settings.batch, seed: context.seed)
    let steps = sampler.stepsPerEpoch
    for epoch in 0..<settings.schedule.epochs {
      let features = try features(ofEpoch: epoch)
      var losses = [Double](repeating: 0, count: own.count)
      for step in 0..<steps {
        // In rising order the rows that ranks bring stand as on one rank alone.
        let images = sampler.indices(step: epoch * steps + step, rank: 0, of: 1).map { learned[$0] }.sorted()
        let rows = try features.gathered(images, communicator)  // [B, D]
        let factor = settings.schedule.factor(at: Double(epoch) + Double(step) / Double(steps))
        let sums = bank.learn(rows, labels: images.map { splits.train.labels[$0] }, factor: factor)
        for head in sums.indices { losses[head] += sums[head] / Double(steps * settings.batch) }
      }
      let val = try hits(bank, splits.val, Array(0..<splits.val.count))
      // The evaluation view of the train split costs a pass over its images: only when it is needed.
      let holdout = try keptApart.isEmpty ? own.map { _ in Hits() } : hits(bank, context.features(.train), keptApart)
      for head in outcomes.indices {
        outcomes[head].val.append(val[head])
        outcomes[head].holdout.append(holdout[head])
        outcomes[head].loss = losses[head]
      }
    }
    for head in outcomes.indices { outcomes[head].isFinite = bank.isFinite(head: head) }
    return (bank, outcomes)
  }

  /// How many of some images every head of this rank gets right.
  ///
  /// - Collective: all ranks.
  private func hits(_ bank: LinearHeads, _ set: FeatureSet, _ images: [Int]) throws(Failure) -> [Hits] {
    var hits = [Hits](repeating: Hits(top1: 0, top5: 0), count: bank.rates.count)
    for start in stride(from: 0, to: images.count, by: LinearTraining.tile) {
      let part = images[start..<min(start + LinearTraining.tile, images.count)]
      let rows = try set.gathered(Array(part), communicator)  // [tile, D]
      let ranks = bank.ranks(rows, labels: part.map { set.labels[$0] }[...])
      for head in ranks.indices {
        hits[head].top1 += ranks[head].count { $0 == 0 }
        hits[head].top5 += ranks[head].count { $0 < 5 }
      }
    }
    return hits
  }
}

// As numbers, to be sent.
extension LinearTraining.Outcome {
  fileprivate static func length(epochs: Int) -> Int { 4 * epochs + 2 }

  /// Loss, whether it is finite, then val and holdout of every epoch.
  fileprivate var numbers: [Double] {
    [isFinite ? loss : 0, isFinite ? 1 : 0]
      + zip(val, holdout).flatMap { [$0.top1, $0.top5, $1.top1, $1.top5].map(Double.init) }
  }

  fileprivate init(_ numbers: ArraySlice<Double>) {
    let values = Array(numbers)
    (loss, isFinite) = (values[0], values[1] == 1)
    for place in stride(from: 2, to: values.count, by: 4) {
      val.append(.init(top1: Int(values[place]), top5: Int(values[place + 1])))
      holdout.append(.init(top1: Int(values[place + 2]), top5: Int(values[place + 3])))
    }
  }
}
