import Autodiff
import Basics
import Layers
import Optimizers
import Pipeline
import Settings
import Tensors

// Shapes: b images of this rank, V views, B = V b, L patches, k visible ones, D width, d = 3 P^2.

/// Masked autoencoder: predict the removed patches of an image from the visible quarter.
///
/// - Source: He et al., CVPR 2022; spec mae-ct section 2.
final class MAE: Method {
  static let name = "mae"
  let views: ViewPlan
  private let encoder: ViT
  private let decoder: MAEDecoder
  private let options: MAEOptions
  private let cost: ForwardCost
  private let joint: JointContrast?
  private var arena: ParameterArena?

  init(_ context: MethodContext) throws {
    options = try MAEOptions(context)
    views = try ViewPlan(context, count: context.settings.augment.views)
    encoder = ViT(context.vit, context.builder)
    decoder = MAEDecoder(context.decoder, of: context.vit, context.builder)
    joint = try JointContrast(context, pool: options.pool)
    try context.requireOneRule(exceptHead: joint != nil)
    let visible = Mask.kept(of: context.vit.tokens, ratio: options.maskRatio)
    cost = context.vit.cost(visible: visible) + context.decoder.cost(of: context.vit, visible: visible)
  }

  /// Only the joint form does: its head looks at the whole batch.
  var couplesBatch: Bool { joint != nil }

  func attach(to arena: ParameterArena) throws {
    self.arena = arena
    joint?.attach(to: arena)
  }

  func open() throws { try joint?.open() }
  func afterUpdate(_ step: StepContext) throws { try joint?.afterUpdate() }
  func schedule(at step: StepContext) -> [(name: String, value: Double)] { joint?.schedule(at: step) ?? [] }
  var state: [NamedState] { joint?.state ?? [] }
  func didInherit(_ parts: [String]) { joint?.didInherit() }

  /// The encoder, which a run cannot start without, the decoder, which imported models often lack, then the head.
  var heritage: [Heritage] {
    guard let arena else { return [] }
    let own = NNCLR.others(arena)
    return [
      Heritage(part: "encoder", parameters: own.filter { !MAEDecoder.owns($0.name) }, isRequired: true),
      Heritage(part: "decoder", parameters: own.filter { MAEDecoder.owns($0.name) }, isRequired: false),
    ] + (joint?.heritage ?? [])
  }

  func parameterGroups(_ arena: ParameterArena) -> [ParameterGroup] {
    joint?.parameterGroups(arena) ?? ParameterGroup.split(arena)
  }

  func loss(_ batch: Batch, at step: StepContext) throws -> LossReport {
    let images = joined(batch.views)  // [B, 3, S, S]
    let mask = OpClock.measure(.data) { drawMask(batch, at: step) }
    let latent = encoder(images, keep: mask)  // [B, 1 + k, D]
    let predicted = decoder.removedPatches(latent, mask)  // [B, L - k, d]
    let removed = [Float](repeating: 1, count: mask.images * mask.removedCount)
    let loss = maskedPatchLoss(predicted, target: target(images, mask), mask: removed)
    let report = LossReport(total: loss, parts: [("reconstruction", Double(loss.value.item))])
    return try joint?.added(to: report, encoder.pooled(latent, options.pool), batch, at: step) ?? report
  }

  func encode(_ images: Tensor) -> Tensor {
    encoder.features(images, pool: options.pool)  // [B, D]
  }

  func headFeatures(_ images: Tensor) -> Tensor? {
    joint?.headFeatures(encoder.features(images, pool: options.pool))  // [B, d]
  }

  var flopsPerImage: Double { Double(views.views.count) * cost.trainingFlops }

  /// Independent masks for every image and view, view-major.
  private func drawMask(_ batch: Batch, at step: StepContext) -> Mask {
    let tokens = encoder.configuration.tokens
    let masks = batch.views.indices.map { view in
      Mask.random(
        tokens: tokens, ratio: options.maskRatio, images: batch.indices, view: view, epoch: batch.epoch,
        seed: step.seed)
    }
    for (view, mask) in masks.enumerated() {
      step.draws?.record("mask_order/\(view)", ints: mask.shuffle, shape: [mask.images, tokens])
    }
    return .joined(masks)
  }

  /// What the decoder should predict for every removed patch.
  private func target(_ images: Tensor, _ mask: Mask) -> Tensor {
    let (patch, indices) = (encoder.configuration.patch, mask.removedIndices)
    return options.normalizesTargets
      ? normalizedPatchTargets(images, patch: patch, indices: indices)
      : patchify(images, patch: patch, order: .rowColumnChannel, indices: indices)  // [B, L - k, d]
  }

  /// Input, masked input, and the prediction with the visible patches pasted in.
  ///
  /// A prediction of normalised patches is shown twice: scaled by the mean and deviation of the visible patches
  /// alone, and de-normalised with each removed patch's own statistics, which leak its brightness and contrast.
  func pictures(_ batch: Batch, count: Int, at step: StepContext) throws -> [PictureRow] {
    let shown = 0..<min(count, batch.indices.count)
    let images = batch.views[0].rows(shown)  // [b, 3, S, S]
    let mask = Mask.random(
      tokens: encoder.configuration.tokens, ratio: options.maskRatio, images: Array(batch.indices[shown]), view: 0,
      epoch: batch.epoch, seed: step.seed)
    let predicted = withoutGradient { decoder(encoder(images, keep: mask), mask).value }  // [b, L, d]
    let canvas = Reconstruction(images, mask: mask, patch: encoder.configuration.patch, view: views.views[0])
    let columns: [(String, Tensor)] =
      [("input", images), ("masked input", canvas.masked())]
      + (options.normalizesTargets
        ? [
          ("prediction", canvas.pasted(predicted, scaledBy: .visiblePatches)),
          ("prediction, de-normalised", canvas.pasted(predicted, scaledBy: .ownPatch)),
        ] : [("prediction", canvas.pasted(predicted, scaledBy: .nothing))])
    return shown.map { place in
      PictureRow(image: batch.indices[place], pictures: columns.map { canvas.picture($1, at: place, caption: $0) })
    }
  }
}

/// The section `mae:`.
package struct MAEOptions {
  package let maskRatio: Double
  package let normalizesTargets: Bool
  let pool: Pooling

  package init(_ context: MethodContext) throws {
    let section = context.section("mae")
    maskRatio = try section.double(
      "mask_ratio", default: 0.75, in: 0.0...0.99, "part of the patches that is removed")
    normalizesTargets = try section.bool(
      "norm_pix_loss", default: true, "predict patches of mean 0 and variance 1 instead of pixels")
    pool = try Pooling(context, section)
    let kept = Mask.kept(of: context.vit.tokens, ratio: maskRatio)
    guard kept > 0, kept < context.vit.tokens else {
      throw section.failure(
        "mask_ratio", "mae.mask_ratio \(maskRatio) leaves \(kept) of \(context.vit.tokens) patches visible",
        hint: "at least one patch must stay visible and one must be removed; the paper removes 0.75")
    }
  }
}
