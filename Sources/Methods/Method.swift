import Autodiff
import Basics
import Layers
import Messaging
import Optimizers
import Pipeline
import Settings
import Tensors

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
  /// What else is worth watching, the same names in the same order on every rank; written to the metrics under them.
  public let observations: [Observation]

  /// A report.
  public init(
    total: Variable, parts: [(name: String, value: Double)], observations: [Observation] = []
  ) {
    self.total = total
    self.parts = parts
    self.observations = observations
  }
}

/// Something worth watching: a mean over those images of all ranks that have it; not a number when none has.
public struct Observation: Sendable {
  /// The name in the metrics.
  public let name: String
  /// The sum over this rank's images that have it.
  public let sum: Double
  /// How many that are.
  public let count: Int

  /// An observation of some values of this rank.
  public init(_ name: String, _ values: [Double]) {
    self.init(name, sum: values.reduce(0, +), count: values.count)
  }

  /// An observation whose values are summed already.
  public init(_ name: String, sum: Double, count: Int) {
    self.name = name
    self.sum = sum
    self.count = count
  }
}

/// A part of what a stage takes over from the checkpoint that it starts from.
///
/// A part is taken over whole, when everything it names is in the file and fits, or not at all.
public struct Heritage {
  /// A name for messages, for example `encoder`.
  public let part: String
  /// Weights; in the file `student/NAME`.
  public let parameters: [Parameter]
  /// Further state under its own names; its memory is filled.
  public let state: [NamedState]
  /// Whether a checkpoint without this part cannot be started from.
  public let isRequired: Bool

  /// Names a part.
  public init(part: String, parameters: [Parameter], state: [NamedState] = [], isRequired: Bool) {
    self.part = part
    self.parameters = parameters
    self.state = state
    self.isRequired = isRequired
  }
}

/// A self-supervised method: how a batch becomes a loss, and what else changes during a step. One of the four seams.
///
/// The trainer calls, per step: `beforeForward` once, `loss` for every micro-batch (backward follows each), the update,
/// `afterUpdate` once. A method does no I/O, no rank arithmetic, no schedules of the optimiser and no logging.
public protocol Method: AnyObject {
  /// The name in configuration files.
  static var name: String { get }

  /// Declares the model in `context.builder`. Nothing may be read from a parameter yet.
  init(_ context: MethodContext) throws
  /// Called once when the arena stands: copies teachers, freezes parts.
  func attach(to arena: ParameterArena) throws
  /// Called once after `attach` on all ranks together: makes what ranks share, such as a queue. Collective.
  func open() throws
  /// Whether images of a batch influence each other (BatchNorm, contrast, Sinkhorn): refuses `train.micro_batch`.
  var couplesBatch: Bool { get }
  /// What the user should know before the first step, for a run over so many images.
  func warnings(images: Int) -> [String]

  /// The views of each image, each with its own size and augmentation.
  var views: ViewPlan { get }
  /// Moves what moves before the forward pass. Collective when the method says so.
  func beforeForward(_ step: StepContext) throws
  /// The loss of this rank's block. Collective when the batch is coupled.
  func loss(_ batch: Batch, at step: StepContext) throws -> LossReport
  /// Moves what moves after the update: teachers, queue, codebook, centres. Collective when the method says so.
  func afterUpdate(_ step: StepContext) throws

  /// What a step depends on besides learning rate and weight decay, for its record: temperatures, momenta.
  func schedule(at step: StepContext) -> [(name: String, value: Double)]
  /// State without gradient, equal on all ranks; saved, restored and compared.
  var state: [NamedState] { get }
  /// What a fresh run takes over from the checkpoint it starts from (`from`, `--init-from`); none (the default) stands
  /// for all parameters as one required part, `model`.
  var heritage: [Heritage] { get }
  /// Called once before the first step of a fresh run, with the parts that were taken over: averages begin here.
  func didInherit(_ parts: [String])
  /// The groups the optimiser updates.
  func parameterGroups(_ arena: ParameterArena) -> [ParameterGroup]
  /// How gradients are clipped when `train.clip_grad` gives a limit.
  func clip(_ limit: Double) -> GradientClip

  /// Evaluation features of unaugmented images [B, 3, S, S] -> [B, D]; no gradient, no randomness.
  func encode(_ images: Tensor) -> Tensor
  /// The output of the method's head for the same images [B, 3, S, S] -> [B, d], for the health monitor; nil without one.
  func headFeatures(_ images: Tensor) -> Tensor?
  /// Pictures of the first `count` images of a batch; empty when a method has none.
  func pictures(_ batch: Batch, count: Int, at step: StepContext) throws -> [PictureRow]
  /// Arithmetic of one image with all its views, forward and backward.
  var flopsPerImage: Double { get }
}

extension Method {
  /// Nothing to do when the arena stands.
  public func attach(to arena: ParameterArena) throws {}
  /// Ranks share nothing but gradients.
  public func open() throws {}
  /// Nothing to say.
  public func warnings(images: Int) -> [String] { [] }
  /// Nothing moves before the forward pass.
  public func beforeForward(_ step: StepContext) throws {}
  /// Nothing moves after the update.
  public func afterUpdate(_ step: StepContext) throws {}
  /// Learning rate and weight decay are all.
  public func schedule(at step: StepContext) -> [(name: String, value: Double)] { [] }
  /// No state without gradient.
  public var state: [NamedState] { [] }
  /// The whole model.
  public var heritage: [Heritage] { [] }
  /// Nothing begins with inherited weights.
  public func didInherit(_ parts: [String]) {}
  /// Decayed and not decayed parameters.
  public func parameterGroups(_ arena: ParameterArena) -> [ParameterGroup] { ParameterGroup.split(arena) }
  /// All gradients together.
  public func clip(_ limit: Double) -> GradientClip { .globalNorm(limit) }
  /// No head.
  public func headFeatures(_ images: Tensor) -> Tensor? { nil }
  /// No pictures.
  public func pictures(_ batch: Batch, count: Int, at step: StepContext) throws -> [PictureRow] { [] }
}
