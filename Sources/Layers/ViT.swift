import Autodiff
import Tensors

// Shapes: B images, C channels, L patches, k visible ones, D width.

/// What stands for an image when one vector is wanted.
public enum Pooling: String, CaseIterable, Sendable {
  /// The first class token after the final norm.
  case classToken = "cls"
  /// The mean of the patch tokens after the final norm.
  case meanPatch = "mean_patch"
}

/// Turns patches into tokens: a linear layer on the flattened patch plus the fixed position.
public struct PatchEmbedding {
  private let weight: Parameter
  private let bias: Parameter
  private let positions: Tensor
  private let patch: Int

  /// Declares `patch_embed.proj.weight` [D, C, P, P] and `patch_embed.proj.bias` [D].
  public init(_ configuration: ViTConfiguration, _ builder: ModelBuilder) {
    let c = configuration
    patch = c.patch
    positions = sinCosPositions(width: c.width, grid: c.grid)
    (weight, bias) = builder.scope("patch_embed.proj") {
      (
        builder.parameter(
          "weight", [c.width, c.inChans, c.patch, c.patch], .xavierUniform(fanIn: c.patchDim, fanOut: c.width)),
        // Neither reference resets this bias: it keeps the framework's default.
        builder.parameter("bias", [c.width], .uniform(bound: 1 / Double(c.patchDim).squareRoot()))
      )
    }
  }

  /// Embeds the visible patches only; the removed ones are never touched.
  ///
  /// - Shapes: images [B, C, S, S] -> [B, k, D] in kept order, [B, L, D] without a mask.
  public func callAsFunction(_ images: Tensor, keep mask: Mask?) -> Variable {
    let patches = patchify(images, patch: patch, order: .channelRowColumn, indices: mask?.visible)  // [B, k, C*P*P]
    return patchLinear(patches, weight, bias: bias, positions: positions, indices: mask?.visible)
  }
}

/// A Vision Transformer with fixed sine-cosine positions.
///
/// - Source: Dosovitskiy et al., 2021; sizes, positions and initial values of spec mae-ct section 1.
public struct ViT {
  /// The sizes.
  public let configuration: ViTConfiguration
  /// How many class tokens stand before the patches.
  public let classTokens: Int
  private let tokens: [Parameter]
  private let embedding: PatchEmbedding
  private let stack: BlockStack

  /// Declares `cls_token` (a second one is `cls_token_1`), `patch_embed`, `blocks.N` and `norm`.
  public init(_ configuration: ViTConfiguration, _ builder: ModelBuilder, classTokens: Int = 1) {
    let c = configuration
    if let obstacle = c.obstacle { preconditionFailure("ViT: \(obstacle)") }
    self.configuration = c
    self.classTokens = classTokens
    tokens = (0..<classTokens).map { index in
      builder.parameter(index == 0 ? "cls_token" : "cls_token_\(index)", [1, 1, c.width], .normal(std: 0.02))
    }
    embedding = PatchEmbedding(c, builder)
    stack = BlockStack(depth: c.depth, width: c.width, heads: c.heads, hidden: c.hidden, builder)
  }

  /// Encodes images, or their visible patches when there is a mask.
  ///
  /// - Shapes: images [B, C, S, S] -> [B, 1 + k, D] after the final norm; row 0 is the class token.
  public func callAsFunction(_ images: Tensor, keep mask: Mask? = nil) -> Variable {
    encoded(images, keep: mask, taps: []).last
  }

  /// Encodes images and also returns inner layers.
  ///
  /// - Parameters:
  ///   - taps: numbers of blocks, 0 ... depth.
  /// - Returns: the tokens after the final norm and, for each tap, after that many blocks, not normalised.
  public func encoded(
    _ images: Tensor, keep mask: Mask?, taps: [Int]
  ) -> (last: Variable, taps: [Variable]) {
    var x = embedding(images, keep: mask)  // [B, k, D]
    for token in tokens.reversed() { x = prependToken(token, x) }  // [B, 1 + k, D]
    return stack(x, taps: taps)
  }

  /// One vector per image, without gradient and without a mask.
  ///
  /// - Shapes: images [B, C, S, S] -> [B, D].
  public func features(_ images: Tensor, pool: Pooling) -> Tensor {
    withoutGradient {
      let last = self(images)  // [B, 1 + L, D]
      switch pool {
      case .meanPatch: return meanTokens(last, skipping: classTokens).value  // [B, D]
      case .classToken:
        let first = [Int32](repeating: 0, count: last.shape[0])
        return gatherTokens(last, indices: first, perImage: 1).value.reshaped([first.count, last.shape[2]])  // [B, D]
      }
    }
  }
}
