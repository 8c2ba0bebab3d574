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

/// Everything one stage of a run is made of, built once and before its first step.
final class Experiment {
  let stage: PlannedStage
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
  /// The checkpoint of another stage that the first weights come from, as its header names it.
  var origin: String?

  var settings: RunSettings { stage.settings }

  /// Opens the data and builds the model.
  ///
  /// Everything that belongs to the process and not to the stage is set anew: threads, instruction set, product
  /// engines, the window of sums. Let go of the experiment before the next one is built.
  /// - Parameter goesOn: whether the choice of product engines of an earlier start holds.
  /// - Throws: the failure of the lowest rank, on every rank.
  /// - Collective: all ranks.
  static func build(
    _ stage: PlannedStage, _ shelf: DataShelf, goesOn: Bool, _ communicator: Communicator
  ) throws -> Experiment {
    let cores = try RankCores.gather(communicator)
    let experiment = try communicator.together { try Experiment(stage, shelf, communicator, cores) }
    try communicator.chooseAllReduce(AllReduceWish(rawValue: stage.settings.runtime.allReduce) ?? .auto)
    experiment.sharedGradients = try SharedGradients(
      of: experiment.arena, communicator, bucketBytes: stage.settings.runtime.bucketBytes)
    try experiment.method.open()
    // A run that goes on keeps the engines that it began with.
    let earlier = goesOn ? "\(stage.run)/\(stage.productFile)" : nil
    experiment.products = try ProductChoice.settle(
      stage.settings.runtime.gemm, experiment.arena, earlier: earlier, communicator)
    return experiment
  }

  private init(
    _ stage: PlannedStage, _ shelf: DataShelf, _ communicator: Communicator, _ cores: [RankCores]
  ) throws {
    self.stage = stage
    self.communicator = communicator
    let settings = stage.settings
    threads = ThreadChoice(asked: settings.runtime.threads, ranks: cores, hostNames: communicator.hostNames)
    ThreadTeam.configure(threads: threads.threads[communicator.rank])
    try InstructionSet.force(named: settings.runtime.isa)
    let context = try stage.context(communicator)
    method = try stage.type.init(context)
    (train, validation) = try shelf.sources(settings.data)
    length = try shelf.length(of: stage)
    arena = context.builder.build()
    try method.attach(to: arena)
    optimizer = AdamW(
      arena: arena, groups: method.parameterGroups(arena), betas: settings.optim.betas, eps: settings.optim.eps)
    rate = WarmupCosine(
      peak: settings.peakRate(views: method.views.views.count),
      warmup: length.steps(settings.optim.warmup) ?? 0, total: length.totalSteps, floor: settings.schedule.minLR)
    let limit = settings.train.clipGrad
    clip = if let limit { method.clip(limit) } else { .none }
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
