import Autodiff
import Basics
import Layers
import Messaging
import Optimizers
import Pipeline
import Settings
import Tensors

/// What a method is made from.
public struct MethodContext {
  /// The settings of the run.
  public let settings: RunSettings
  /// The method's own section: `mae:` for MAE.
  public let section: Section
  /// The ranks of the run, for statistics over the global batch.
  public let communicator: Communicator
  /// Takes the parameters of the trained model; the trainer builds the arena from it.
  public let builder: ModelBuilder
  /// The encoder's size.
  public let vit: ViTConfiguration
  /// The decoder's size.
  public let decoder: DecoderConfiguration

  /// Resolves the model's sizes from the settings.
  ///
  /// - Throws: bad config when the model's name is unknown or its sizes do not fit.
  public init(settings: RunSettings, section: Section, communicator: Communicator) throws(Failure) {
    self.settings = settings
    self.section = section
    self.communicator = communicator
    builder = ModelBuilder(
      seed: settings.seed, recompute: Recompute(rawValue: settings.train.recompute) ?? .none)
    vit = try ViTConfiguration(settings.model)
    decoder = try DecoderConfiguration(settings.model)
  }
}

/// One step as a method sees it. Everything follows from the step's index, never from the rank or the time.
public struct StepContext {
  /// Updates made before this one.
  public let step: Int
  /// Updates of the whole run.
  public let totalSteps: Int
  /// Updates of an epoch.
  public let stepsPerEpoch: Int
  /// The seed of the run, the first key of every draw.
  public let seed: UInt64
  /// The learning rate of this update.
  public let learningRate: Double
  /// False for the second and later parts of a batch cut by `train.micro_batch`.
  public let isFirstMicrobatch: Bool
  /// Takes every random decision when the step is recorded.
  public let draws: DrawRecorder?

  /// A step; by default the only micro-batch of it, not recorded.
  public init(
    step: Int, totalSteps: Int, stepsPerEpoch: Int, seed: UInt64, learningRate: Double = 0,
    isFirstMicrobatch: Bool = true, draws: DrawRecorder? = nil
  ) {
    self.step = step
    self.totalSteps = totalSteps
    self.stepsPerEpoch = stepsPerEpoch
    self.seed = seed
    self.learningRate = learningRate
    self.isFirstMicrobatch = isFirstMicrobatch
    self.draws = draws
  }

  /// The epoch this update belongs to.
  public var epoch: Int { step / max(stepsPerEpoch, 1) }
  /// The part of the run done before this update, 0 ... 1.
  public var progress: Double { Double(step) / Double(max(totalSteps, 1)) }
  /// Whether this is the last update of its epoch: the clock of a teacher that moves once per epoch.
  public var endsEpoch: Bool { (step + 1) % max(stepsPerEpoch, 1) == 0 }
}

/// The loss of this rank's block, and its parts for the log.
public struct LossReport {
  /// The mean over this rank's block; the trainer weighs it by local over global batch and sums over ranks.
  public let total: Variable
  /// Named parts in a fixed order, each a mean over the block.
  public let parts: [(name: String, value: Double)]

  /// A report.
  public init(total: Variable, parts: [(name: String, value: Double)]) {
    self.total = total
    self.parts = parts
  }
}

/// A self-supervised method: how a batch becomes a loss, and what else changes during a step. One of the four seams.
///
/// The trainer calls, per step: `beforeForward` once, `loss` for every micro-batch (backward follows each), the update,
/// `afterUpdate` once. A method does no I/O, no rank arithmetic, no schedules of the optimiser and no logging.
public protocol Method: AnyObject {
  /// The name in configuration files.
  static var name: String { get }
  /// Whether images of a batch influence each other (BatchNorm, contrast, Sinkhorn): refuses `train.micro_batch`.
  static var couplesBatch: Bool { get }

  /// Declares the model in `context.builder`. Nothing may be read from a parameter yet.
  init(_ context: MethodContext) throws
  /// Called once when the arena stands: copies teachers, freezes parts.
  func attach(to arena: ParameterArena) throws

  /// The views of each image, each with its own size and augmentation.
  var views: ViewPlan { get }
  /// Moves what moves before the forward pass. Collective when the method says so.
  func beforeForward(_ step: StepContext) throws
  /// The loss of this rank's block. Collective when the batch is coupled.
  func loss(_ batch: Batch, at step: StepContext) throws -> LossReport
  /// Moves what moves after the update: teachers, queue, codebook, centres. Collective when the method says so.
  func afterUpdate(_ step: StepContext) throws

  /// State without gradient, equal on all ranks; saved, restored and compared.
  var state: [NamedState] { get }
  /// The groups the optimiser updates.
  func parameterGroups(_ arena: ParameterArena) -> [ParameterGroup]
  /// How gradients are clipped when `train.clip_grad` gives a limit.
  func clip(_ limit: Double) -> GradientClip

  /// Evaluation features of unaugmented images [B, 3, S, S] -> [B, D]; no gradient, no randomness.
  func encode(_ images: Tensor) -> Tensor
  /// Pictures of the first `count` images of a batch; empty when a method has none.
  func pictures(_ batch: Batch, count: Int, at step: StepContext) throws -> [PictureRow]
  /// Arithmetic of one image with all its views, forward and backward.
  var flopsPerImage: Double { get }
}

extension Method {
  /// Nothing to do when the arena stands.
  public func attach(to arena: ParameterArena) throws {}
  /// Nothing moves before the forward pass.
  public func beforeForward(_ step: StepContext) throws {}
  /// Nothing moves after the update.
  public func afterUpdate(_ step: StepContext) throws {}
  /// No state without gradient.
  public var state: [NamedState] { [] }
  /// Decayed and not decayed parameters.
  public func parameterGroups(_ arena: ParameterArena) -> [ParameterGroup] { ParameterGroup.split(arena) }
  /// All gradients together.
  public func clip(_ limit: Double) -> GradientClip { .globalNorm(limit) }
  /// No pictures.
  public func pictures(_ batch: Batch, count: Int, at step: StepContext) throws -> [PictureRow] { [] }
}
