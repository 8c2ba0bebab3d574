import Autodiff
import Basics
import Layers
import Optimizers
import Pipeline
import Settings
import Tensors

/// NNCLR beside MAE in one pre-training: the paper's opponent of tuning afterwards.
///
/// The head sees the visible patches of two views that the masked encoder sees. Detached, it learns without teaching
/// the encoder anything.
/// - Source: Lehner et al., 2023, ablation of joint training; spec mae-ct section 11.
final class JointContrast {
  private let contrast: NNCLR
  private let weight: Double
  private let isDetached: Bool
  private var arena: ParameterArena?

  /// Reads `nnclr:` of the stage `mae`; nil when no weight is set, and for a plain MAE.
  ///
  /// - Throws: bad config when there are not two views.
  init?(_ context: MethodContext, pool: Pooling) throws {
    guard context.settings.method == ContrastiveTuning.name else { return nil }
    let section = context.section("nnclr")
    let given = try section.optionalDouble(
      "weight", in: 0.0...1e6, "weight of the contrastive loss beside reconstruction in the stage mae; null for none")
    isDetached = try section.bool(
      "detached", default: false, "the head of the stage mae learns, but the encoder learns nothing from it")
    let options = try NNCLROptions(context, topK: 1, targetMomentum: nil)
    // A run of the stage mae alone may have the other stages' sections.
    _ = try ContrastiveTuningOptions(context.elsewhere)
    guard let given else { return nil }
    guard context.settings.augment.views == NNCLR.views else {
      throw section.failure(
        "weight", "nnclr.weight needs two views of an image, augment.views is \(context.settings.augment.views)",
        hint: "set augment.views to 2 in the stage mae")
    }
    weight = given
    context.builder.freezes = NNCLR.freezes
    contrast = try NNCLR(options, context)
  }

  func attach(to arena: ParameterArena) {
    self.arena = arena
    contrast.attach(to: arena)
  }

  func open() throws { try contrast.open() }
  func afterUpdate() throws { try contrast.afterUpdate() }
  func didInherit() { contrast.didInherit() }
  func headFeatures(_ hidden: Tensor) -> Tensor { contrast.evaluated(Variable(constant: hidden)) }
  var state: [NamedState] { contrast.state }

  /// The head and its queue.
  var heritage: [Heritage] { arena.map(contrast.heritage) ?? [] }

  func parameterGroups(_ arena: ParameterArena) -> [ParameterGroup] {
    ParameterGroup.split("model", NNCLR.others(arena)) + contrast.parameterGroups(arena)
  }

  func schedule(at step: StepContext) -> [(name: String, value: Double)] {
    [("contrast_weight", weight)] + contrast.schedule(at: step)
  }

  /// The report with the weighted contrast in it.
  ///
  /// - Shapes: hidden [2 b, D], view-major.
  /// - Collective: all ranks.
  func added(to report: LossReport, _ hidden: Variable, _ batch: Batch, at step: StepContext) throws -> LossReport {
    let (loss, observations) = try contrast.loss(of: isDetached ? hidden.detached : hidden, batch, at: step)
    return LossReport(
      total: add(report.total, scale(loss, by: Float(weight))),
      parts: report.parts + [("nnclr", Double(loss.value.item))], observations: observations)
  }
}
