import Autodiff
import Basics
import Layers
import Optimizers
import Pipeline
import Settings
import Tensors

// Shapes: b images of this rank, L patches, D width.

/// The second and third stage of MAE-CT: an NNCLR head on a frozen encoder, then tuning of the encoder's upper half.
///
/// The two differ in what is frozen, in the number of candidates and in the slow copies, all of it settings.
/// - Source: Lehner et al., "Contrastive Tuning", 2023; spec mae-ct section 4.
final class ContrastiveTuning: Method {
  static let name = "mae-ct"
  let couplesBatch = true
  let views: ViewPlan
  private let encoder: ViT
  private let contrast: NNCLR
  private let options: ContrastiveTuningOptions
  private let head: NNCLROptions
  private let layerDecay: Double
  private let slow: SlowCopy<ViT>?
  private var arena: ParameterArena?

  init(_ context: MethodContext) throws {
    // A run without the stage mae may have its section all the same.
    _ = try MAEOptions(context.elsewhere)
    options = try ContrastiveTuningOptions(context)
    head = try NNCLROptions(
      context, topK: options.isTuning ? 20 : 1, targetMomentum: options.isTuning ? 0.99 : nil)
    layerDecay = context.settings.optim.layerDecay ?? 1
    views = try ViewPlan(context, count: NNCLR.views)
    context.builder.freezes = options.freezes
    encoder = ViT(context.vit, context.builder)
    contrast = try NNCLR(head, context)
    slow = options.encoderMomentum.map { momentum in
      SlowCopy(momentum: momentum, seed: context.settings.seed) { ViT(context.vit, $0) }
    }
  }

  func attach(to arena: ParameterArena) throws {
    self.arena = arena
    contrast.attach(to: arena)
    slow?.attach(to: arena)
  }

  func open() throws { try contrast.open() }

  func loss(_ batch: Batch, at step: StepContext) throws -> LossReport {
    let tokens = encoder(joined(batch.views))  // [2 b, 1 + L, D]
    let hidden = encoder.pooled(tokens, options.pool)  // [2 b, D]
    let (loss, observations) = try contrast.loss(of: hidden, batch, at: step)
    return LossReport(total: loss, parts: [("nnclr", Double(loss.value.item))], observations: observations)
  }

  func afterUpdate(_ step: StepContext) throws {
    try contrast.afterUpdate()
    slow?.follow()
  }

  func schedule(at step: StepContext) -> [(name: String, value: Double)] {
    contrast.schedule(at: step) + (options.encoderMomentum.map { [("encoder_momentum", $0)] } ?? [])
  }

  var state: [NamedState] { contrast.state + (slow?.state("ema") ?? []) }

  func parameterGroups(_ arena: ParameterArena) -> [ParameterGroup] {
    ParameterGroup.layerDecayed(
      NNCLR.others(arena).filter { !$0.isFrozen }, depth: encoder.configuration.depth, decay: layerDecay)
      + contrast.parameterGroups(arena)
  }

  /// The averaged encoder where there is one: the model that the stage is run for.
  func encode(_ images: Tensor) -> Tensor { (slow?.part ?? encoder).features(images, pool: options.pool) }

  func headFeatures(_ images: Tensor) -> Tensor? {
    contrast.evaluated(Variable(constant: encoder.features(images, pool: options.pool)))  // [b, d]
  }

  var heritage: [Heritage] {
    guard let arena else { return [] }
    return [Heritage(part: "encoder", parameters: NNCLR.others(arena), isRequired: true)] + contrast.heritage(arena)
  }

  func didInherit(_ parts: [String]) {
    slow?.restart()
    contrast.didInherit()
  }

  func warnings(images: Int) -> [String] { head.warnings(images: images) }

  /// Two views; blocks below the first trained one run forward only.
  var flopsPerImage: Double {
    let cost = encoder.configuration.cost()
    let depth = encoder.configuration.depth
    let trained = Double(depth - options.frozenBlocks(of: depth)) / Double(max(depth, 1))
    let embedding = options.freezesStem ? cost.forwardFlops : cost.forwardFlops + 2 * cost.embedding
    return 2 * (embedding + 4 * cost.layers * trained)
  }
}
