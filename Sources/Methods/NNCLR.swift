import Autodiff
import Basics
import Layers
import Messaging
import Optimizers
import Parallelism
import Pipeline
import Settings
import Tensors

// Shapes: b images of this rank, B of all ranks, D width of the encoder, d of the head's output, k candidates, Q slots.

/// Contrast of two views in which an image's positive is the nearest neighbour of its other view in a queue.
///
/// The branch is the same in joint pre-training, head initialisation and tuning: what differs is where the vectors come
/// from, whether a slow projector makes the keys, and how many candidates there are.
/// - Source: Dwibedi et al., ICCV 2021; Lehner et al., 2023, algorithm 1; spec mae-ct section 3.
final class NNCLR {
  /// What a step leaves for its end: the keys of view 0, which the queue takes once the update is made.
  private struct Pending {
    let keys: Tensor  // [b, d]
    let images: [Int]
    let labels: [Int32]
  }

  /// The views of an image that are contrasted.
  static let views = 2

  private let options: NNCLROptions
  private let settings: RunSettings
  private let communicator: Communicator
  private let ranks: RankSum
  private let rateScale: Double
  private let projector: Projector
  private let predictor: Predictor
  private let slow: SlowCopy<Projector>?
  private var queue: FeatureQueue?
  private var pending: Pending?

  /// Declares `projector` and `predictor`.
  ///
  /// - Throws: bad config when the head's learning rate is no multiple of the run's.
  init(_ options: NNCLROptions, _ context: MethodContext) throws(Failure) {
    self.options = options
    settings = context.settings
    communicator = context.communicator
    ranks = RankSum(over: context.communicator)
    rateScale = try context.settings.headRateScale(views: Self.views)
    let width = context.vit.width
    func declareProjector(_ builder: ModelBuilder) -> Projector {
      Projector(from: width, hidden: options.projectorHidden, to: options.outputs, builder)
    }
    projector = declareProjector(context.builder)
    predictor = Predictor(
      from: options.outputs, hidden: options.predictorHidden, to: options.outputs, context.builder)
    slow = options.targetMomentum.map { SlowCopy(momentum: $0, seed: context.settings.seed, declareProjector) }
  }

  /// The slow projector begins equal to the projector.
  func attach(to arena: ParameterArena) { slow?.attach(to: arena) }

  /// Makes the queue.
  ///
  /// - Collective: all ranks.
  func open() throws {
    guard options.findsNeighbours else { return }
    queue = try FeatureQueue(
      capacity: options.queueSize, width: options.outputs, placement: options.placement,
      globalBatch: settings.train.batchSize, seed: settings.seed, communicator: communicator)
  }

  /// The loss of the global batch, and what is worth watching of this rank's block.
  ///
  /// - Shapes: hidden [2 b, D], view-major.
  /// - Collective: all ranks.
  func loss(
    of hidden: Variable, _ batch: Batch, at step: StepContext
  ) throws -> (loss: Variable, observations: [Observation]) {
    let hidden = (0..<Self.views).map { rows(hidden, $0 * batch.count..<($0 + 1) * batch.count) }  // 2 x [b, D]
    let projected = projector(hidden, over: ranks)  // 2 x [b, d]
    let predicted = predictor(projected, over: ranks).map(l2Normalize)  // 2 x [b, d], P of 3.3
    let keys = self.keys(hidden, projected)  // 2 x [b, d]
    let found = try neighbours(of: keys, batch, at: step)  // 2 x [b, d], N of 3.3
    pending = Pending(keys: keys[0], images: batch.indices, labels: batch.labels)

    let blocks = (0..<communicator.size).map { blockRange(count: batch.globalBatch, part: $0, of: communicator.size) }
    let all = try communicator.gatherRows(
      predicted.map(\.value) + found.vectors, counts: blocks.map(\.count))  // 4 x [B, d]
    let loss = nnclrLoss(
      own: (predicted[0], predicted[1]), first: blocks[communicator.rank].lowerBound,
      predictions: (all[0], all[1]), neighbours: (all[2], all[3]), temperature: Float(options.temperature),
      gradientScale: Float(batch.globalBatch) / Float(batch.count))
    return (loss, found.observations + Spread.observations(own: keys, all: all[0]))
  }

  /// Moves the slow projector, and puts the keys of view 0 into the queue.
  ///
  /// - Collective: all ranks.
  func afterUpdate() throws {
    projector.settle()
    predictor.settle()
    slow?.follow()
    slow?.part.copyBuffers(from: projector)
    defer { pending = nil }
    guard let pending, let queue else { return }
    try OpClock.measure(.lookup) {
      try queue.enqueue(pending.keys, ids: pending.images, labels: pending.labels)
    }
  }

  /// The head's output for evaluation: [b, D] -> [b, d], with running statistics.
  func evaluated(_ hidden: Variable) -> Tensor { withoutGradient { projector.evaluated(hidden).value } }

  /// Unit vectors of the path that finds neighbours, without gradient: the slow projector's, or the projector's own.
  /// Both normalise with the statistics of this batch.
  private func keys(_ hidden: [Variable], _ projected: [Variable]) -> [Tensor] {
    withoutGradient {
      let outputs = slow?.part(hidden.map(\.detached), over: ranks, tracks: false) ?? projected
      return outputs.map { l2Normalize($0.detached).value }  // [b, d]
    }
  }

  /// One of the `topK` entries of the queue most similar to each key, drawn with equal chances.
  ///
  /// - Collective: all ranks.
  private func neighbours(
    of keys: [Tensor], _ batch: Batch, at step: StepContext
  ) throws -> (vectors: [Tensor], observations: [Observation]) {
    guard let queue else { return (keys, []) }
    let (k, count) = (options.topK, batch.count)
    let queries = joined(keys)  // [2 b, d]
    let matches = try OpClock.measure(.lookup, work: 2 * queries.count * queue.capacity) {
      try queue.nearest(queries, ids: batch.indices + batch.indices, k: k)
    }
    var chosen: [Int] = []  // places in `matches`, [2 b]
    for view in keys.indices {
      let picks = NNCLRPicks.drawn(batch, view: view, k: k, seed: step.seed)
      step.draws?.record("nn_pick/\(view)", ints: picks.map { Int32($0) }, shape: [count])
      chosen += picks.enumerated().map { (view * count + $0) * k + $1 }
    }
    let slots = chosen.map { matches.slots[$0] }
    for view in keys.indices {
      step.draws?.record("nn_slot/\(view)", ints: Array(slots[view * count..<(view + 1) * count]), shape: [count])
    }
    // The label of the nearest entry comes with the rows that were drawn, when it is another one.
    let best = settings.data.labels && k > 1 ? (0..<2 * count).map { matches.slots[$0 * k] } : []
    let rows = try OpClock.measure(.lookup) { try queue.rows(slots + best) }  // [2 b, d], or [4 b, d]
    var observations = [
      Observation("nn_similarity", chosen.map { Double(matches.similarities[$0]) }),
      Observation("queue_age", queue.ages(slots).map { Double($0) / Double(batch.globalBatch) }),
    ]
    if settings.data.labels {
      let wanted = batch.labels + batch.labels
      observations += [
        agreement("pick_own_class", of: rows.labels.prefix(2 * count), with: wanted),
        agreement("nn_accuracy", of: rows.labels.suffix(2 * count), with: wanted),
      ]
    }
    return (keys.indices.map { rows.vectors.rows($0 * count..<($0 + 1) * count) }, observations)
  }

  /// The share of entries that carry the label of their query, in percent, over the queries that have a label.
  private func agreement(_ name: String, of found: ArraySlice<Int32>, with wanted: [Int32]) -> Observation {
    Observation(name, zip(found, wanted).filter { $1 >= 0 }.map { $0 == $1 ? 100 : 0 })
  }
}

extension NNCLR {
  /// Queue, running statistics and slow projector.
  var state: [NamedState] {
    projector.buffers("buffers") + predictor.buffers("buffers") + (slow?.state("target") ?? [])
      + (slow?.part.buffers("target_buffers") ?? []) + (queue?.state ?? [])
  }

  /// What a step depends on, for its record.
  func schedule(at step: StepContext) -> [(name: String, value: Double)] {
    let decay = settings.optim.head.weightDecay ?? settings.optim.weightDecay
    return [
      ("head_lr", step.learningRate * rateScale), ("head_weight_decay", decay), ("temperature", options.temperature),
    ] + (options.targetMomentum.map { [("target_momentum", $0)] } ?? [])
  }

  /// The head may have a learning rate and a weight decay of its own.
  func parameterGroups(_ arena: ParameterArena) -> [ParameterGroup] {
    ParameterGroup.split(
      "head", Self.parameters(arena), rateScale: rateScale, ownDecay: settings.optim.head.weightDecay)
  }

  /// What a later stage takes over: the head with its statistics, and the queue.
  func heritage(_ arena: ParameterArena) -> [Heritage] {
    let buffers = projector.buffers("buffers") + predictor.buffers("buffers")
    return [Heritage(part: "head", parameters: Self.parameters(arena), state: buffers, isRequired: false)]
      + (queue.map { [Heritage(part: "queue", parameters: [], state: $0.state, isRequired: false)] } ?? [])
  }

  /// Whether a parameter of the head is not trained: the predictor's BatchNorm takes out what the projector's last bias
  /// adds, so its gradient is 0 whatever the data.
  static func freezes(_ name: String) -> Bool { name == "projector.bn3.bias" }

  /// Whether a parameter belongs to the head.
  static func owns(_ name: String) -> Bool { name.hasPrefix("projector.") || name.hasPrefix("predictor.") }

  /// The head's parameters in an arena.
  static func parameters(_ arena: ParameterArena) -> [Parameter] { arena.parameters.filter { owns($0.name) } }

  /// All others: the model that the head stands on.
  static func others(_ arena: ParameterArena) -> [Parameter] { arena.parameters.filter { !owns($0.name) } }

  /// Lets the slow projector start where the projector is.
  func didInherit() {
    slow?.restart()
    slow?.part.copyBuffers(from: projector)
  }
}
