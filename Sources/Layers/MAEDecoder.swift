import Autodiff
import Tensors

// Shapes: B images, L patches, k visible ones, D encoder width, d numbers of a patch.

/// The size of a masked autoencoder's decoder.
public struct DecoderConfiguration: Equatable, Sendable {
  /// Width of a token.
  public var width: Int
  /// Number of blocks.
  public var depth: Int
  /// Attention heads.
  public var heads: Int

  /// The decoder of the papers by default.
  public init(width: Int = 512, depth: Int = 8, heads: Int = 16) {
    self.width = width
    self.depth = depth
    self.heads = heads
  }

  /// What keeps a decoder of this size from being built, in words; nil when nothing does.
  public var obstacle: String? {
    if width < 1 || depth < 0 || heads < 1 { return "every size of the decoder must be at least 1" }
    if width % heads != 0 { return "decoder width \(width) is not a multiple of \(heads) heads" }
    if width % 4 != 0 { return "decoder width \(width) is not a multiple of 4, which the position table needs" }
    return nil
  }
}

/// Predicts every patch from the encoded visible ones.
///
/// - Source: He et al., 2022, section 3 and reference code `forward_decoder`; spec mae-ct 2.2.
public struct MAEDecoder {
  private let embed: Linear
  private let maskToken: Parameter
  private let stack: BlockStack
  private let prediction: Linear
  private let positions: Tensor

  /// Whether a parameter belongs to the decoder, by its name.
  public static func owns(_ name: String) -> Bool { name.hasPrefix("decoder.") }

  /// Declares `decoder.embed`, `decoder.mask_token`, `decoder.blocks.N`, `decoder.norm` and `decoder.pred`.
  ///
  /// - Parameters:
  ///   - outputs: the width of a prediction; d = C P^2 when nil.
  public init(
    _ configuration: DecoderConfiguration, of encoder: ViTConfiguration, outputs: Int? = nil, _ builder: ModelBuilder
  ) {
    let c = configuration
    if let obstacle = c.obstacle { preconditionFailure("MAEDecoder: \(obstacle)") }
    positions = sinCosPositions(width: c.width, grid: encoder.grid)
    (embed, maskToken, stack, prediction) = builder.scope("decoder") {
      (
        Linear("embed", from: encoder.width, to: c.width, builder),
        builder.parameter("mask_token", [1, 1, c.width], .normal(std: 0.02)),
        BlockStack(depth: c.depth, width: c.width, heads: c.heads, hidden: 4 * c.width, builder),
        Linear("pred", from: c.width, to: outputs ?? encoder.patchDim, builder)
      )
    }
  }

  /// Predicts all patches; the class token's row is dropped.
  ///
  /// - Shapes: latent [B, 1 + k, D] -> [B, L, d].
  public func callAsFunction(_ latent: Variable, _ mask: Mask) -> Variable {
    prediction(dropFirstToken(stack(tokens(latent, mask))))  // [B, L, d]
  }

  /// Predicts the removed patches alone, in the order of the mask's shuffle: all that the loss looks at. The last
  /// block's projection and MLP, the final norm and the prediction leave the visible patches out.
  ///
  /// - Shapes: latent [B, 1 + k, D] -> [B, L - k, d].
  public func removedPatches(_ latent: Variable, _ mask: Mask) -> Variable {
    guard !stack.blocks.isEmpty else {
      return gatherTokens(self(latent, mask), indices: mask.removedIndices, perImage: mask.removedCount)
    }
    let selection = TokenSelection(
      indices: mask.removedIndices.map { $0 + 1 }, perImage: mask.removedCount)  // behind the class token
    return prediction(stack(tokens(latent, mask), keeping: selection))
  }

  /// The input of the first block: class token and visible patches are each image's own; a removed patch is the mask
  /// token at its position, in whatever image, so all images share L of them.
  ///
  /// - Shapes: latent [B, 1 + k, D] -> places for [B, 1 + L, 512].
  private func tokens(_ latent: Variable, _ mask: Mask) -> SharedTokens {
    let visible = addPositions(embed(latent), positions, indices: mask.visible)  // [B, 1 + k, 512]
    let removed = addPositions(token: maskToken, positions)  // [L, 512]
    let own = 1 + mask.keep
    let sources: [Int32] = (0..<mask.images).flatMap { image in
      let order = mask.restore[image * mask.tokens..<(image + 1) * mask.tokens].map(Int.init)
      return [0] + order.enumerated().map { Int32($1 < mask.keep ? 1 + $1 : own + $0) }
    }
    return SharedTokens(
      own: visible, shared: removed,
      places: TokenPlaces(sources, images: mask.images, own: own, shared: mask.tokens))
  }
}
