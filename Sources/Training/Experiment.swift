import Basics
import Foundation
import Layers
import Messaging
import Methods
import Optimizers
import Parallelism
import Pipeline
import Settings
import Tensors

/// Everything one run is made of, built once and before the first step.
final class Experiment {
  /// The run directory.
  let path: String
  let settings: RunSettings
  let resolved: SettingsTree
  let communicator: Communicator
  let train: DataSource
  let validation: DataSource?
  let length: RunLength
  let method: any Method
  let arena: ParameterArena
  /// Where the arena's gradients lie; known once all ranks have built theirs.
  private(set) var sharedGradients: SharedGradients?
  let optimizer: AdamW
  let rate: WarmupCosine
  let clip: GradientClip
  private(set) var products = ProductChoice(plan: ProductEngine.plan, record: nil)
  let threads: ThreadChoice

  /// Reads the settings, opens the data and builds the model.
  ///
  /// - Throws: the failure of the lowest rank, on every rank.
  /// - Collective: all ranks.
  static func build(_ options: LaunchOptions, _ communicator: Communicator) throws -> Experiment {
    let cores = try RankCores.gather(communicator)
    let experiment = try communicator.together { try Experiment(options, communicator, cores) }
    try communicator.chooseAllReduce(AllReduceWish(rawValue: experiment.settings.runtime.allReduce) ?? .auto)
    experiment.sharedGradients = try SharedGradients(of: experiment.arena, communicator)
    // A run that goes on keeps the engines that it began with.
    let earlier = options.resume == .never ? nil : "\(experiment.path)/\(ProductChoice.fileName)"
    experiment.products = try ProductChoice.settle(
      experiment.settings.runtime.gemm, experiment.arena, earlier: earlier, communicator)
    return experiment
  }

  private init(_ options: LaunchOptions, _ communicator: Communicator, _ cores: [RankCores]) throws {
    self.communicator = communicator
    resolved = try SettingsTree.load(
      files: options.configFiles, preset: options.preset, overrides: options.overrides)
    settings = try RunSettings(from: resolved)
    path = options.out ?? "runs/\(settings.name)"
    threads = ThreadChoice(asked: settings.runtime.threads, ranks: cores, hostNames: communicator.hostNames)
    ThreadTeam.configure(threads: threads.threads[communicator.rank])
    try InstructionSet.force(named: settings.runtime.isa)
    guard settings.train.batchSize >= communicator.size else {
      throw Failure(
        .badConfig, "train.batch_size is \(settings.train.batchSize), smaller than the \(communicator.size) ranks",
        at: "train.batch_size",
        hint: "every rank needs at least one image: use a larger batch or fewer ranks")
    }
    let type = try MethodRegistry.type(named: settings.method)
    let context = try MethodContext(
      settings: settings, section: resolved.section(settings.method), communicator: communicator)
    method = try type.init(context)
    try resolved.finish()
    if type.couplesBatch, settings.train.microBatch != nil {
      throw Failure(
        .badConfig, "\(settings.method) couples the images of a batch, so it cannot be cut into micro-batches",
        at: "train.micro_batch", hint: "remove train.micro_batch")
    }
    let labels = settings.data.labels
    train = try DataSource.open(settings.data.train, labels: labels)
    validation = try settings.data.val.map { try DataSource.open($0, labels: labels) }
    length = try RunLength(settings.train, images: train.count)
    arena = context.builder.build()
    try method.attach(to: arena)
    optimizer = AdamW(
      arena: arena, groups: method.parameterGroups(arena), betas: settings.optim.betas, eps: settings.optim.eps)
    rate = WarmupCosine(
      peak: Experiment.peakRate(settings, views: method.views.views.count),
      warmup: length.steps(settings.optim.warmup) ?? 0, total: length.totalSteps, floor: settings.schedule.minLR)
    let limit = settings.train.clipGrad
    clip = if let limit { method.clip(limit) } else { .none }
  }

  /// The learning rate at its highest, from `optim.lr` or from `optim.base_lr` by the linear rule.
  static func peakRate(_ settings: RunSettings, views: Int) -> Double {
    if let rate = settings.optim.lr { return rate }
    guard settings.optim.lrScaleRule == "linear256" else { return settings.optim.baseLR }
    return linearScaledRate(base: settings.optim.baseLR, globalBatch: settings.train.batchSize, views: views)
  }

  /// What `loss` is told about update `step`.
  func context(at step: Int, isFirstMicrobatch: Bool = true, draws: DrawRecorder? = nil) -> StepContext {
    StepContext(
      step: step, totalSteps: length.totalSteps, stepsPerEpoch: length.stepsPerEpoch, seed: settings.seed,
      learningRate: rate.value(at: step), isFirstMicrobatch: isFirstMicrobatch, draws: draws)
  }

  /// A loader that begins with the batch of update `step`.
  func loader(from step: Int) throws -> Loader {
    try Loader(
      source: train, plan: method.views, seed: settings.seed, globalBatch: length.globalBatch,
      rank: communicator.rank, ranks: communicator.size, threads: settings.data.workers ?? 1,
      prefetch: settings.data.prefetch, firstStep: step)
  }
}

extension Communicator {
  /// Runs local work that may fail; when it fails on any rank, every rank throws the failure of the lowest one.
  ///
  /// - Collective: all ranks.
  func together<R>(_ work: () throws -> R) throws -> R {
    var failure: Failure?
    var unexpected: (any Error)?
    var result: R?
    do {
      result = try work()
    } catch let known as Failure {
      failure = known
    } catch {
      unexpected = error
      failure = Failure(.internalError, "\(error)")
    }
    try agree(failure)
    guard let result else { throw unexpected ?? Failure(.internalError, "agreement without a result") }
    return result
  }
}
