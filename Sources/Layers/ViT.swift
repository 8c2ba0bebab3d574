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

/// Turns patches into tokens: a linear layer on the flattened patch plus its position.
public struct PatchEmbedding {
  private let weight: Parameter
  private let bias: Parameter
  private var source: Positions
  private let patch: Int

  private enum Positions {
    case fixed(Tensor)
    case stored(Parameter)
  }

  /// Declares `patch_embed.proj.weight` [D, C, P, P] and `patch_embed.proj.bias` [D], and `pos_embed` [1, L, D] where
  /// positions are stored.
  public init(_ configuration: ViTConfiguration, _ builder: ModelBuilder) {
    let c = configuration
    patch = c.patch
    source =
      switch c.positions {
      case .sinCos: .fixed(sinCosPositions(width: c.width, grid: c.grid))
      case .stored:
        .stored(
          builder.parameter(
            "pos_embed", [1, c.tokens, c.width], .sinCosPositions(grid: c.grid), isFrozen: true))
      }
    (weight, bias) = builder.scope("patch_embed.proj") {
      (
        builder.parameter(
          "weight", [c.width, c.inChans, c.patch, c.patch], .xavierUniform(fanIn: c.patchDim, fanOut: c.width)),
        // Neither reference resets this bias: it keeps the framework's default.
        builder.parameter("bias", [c.width], .uniform(bound: 1 / Double(c.patchDim).squareRoot()))
      )
    }
  }

  /// What is added to each patch, row-major over the grid.
  ///
  /// - Shapes: -> [L, D]; of another grid, that many rows.
  var positions: Tensor {
    get {
      switch source {
      case .fixed(let table): table
      case .stored(let parameter): parameter.value.reshaped([parameter.shape[1], parameter.shape[2]])
      }
    }
    set { source = .fixed(newValue) }
  }

  /// Embeds the visible patches only; the removed ones are never touched.
  ///
  /// - Shapes: images [B, C, S, S] -> [B, k, D] in kept order, [B, L, D] without a mask.
  public func callAsFunction(_ images: Tensor, keep mask: Mask?) -> Variable {
    let patches = patchify(images, patch: patch, order: .channelRowColumn, indices: mask?.visible)  // [B, k, C*P*P]
    return patchLinear(patches, weight, bias: bias, positions: positions, indices: mask?.visible)
  }
}

/// A Vision Transformer with fixed positions.
///
/// - Source: Dosovitskiy et al., 2021; sizes, positions and initial values of spec mae-ct section 1.
public struct ViT {
  /// The sizes.
  public private(set) var configuration: ViTConfiguration
  /// How many class tokens stand before the patches.
  public let classTokens: Int
  private let tokens: [Parameter]
  private var embedding: PatchEmbedding
  let stack: BlockStack

  /// Declares `cls_token` (a second one is `cls_token_1`), `patch_embed`, `blocks.N` and `norm`, and `pos_embed` where
  /// the configuration stores positions.
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

  /// The final norm of tokens that an inner block left.
  ///
  /// - Shapes: tokens [B, N, D] -> [B, N, D].
  public func normalized(_ tokens: Variable) -> Variable {
    ResidualStream(tokens).normalized(by: stack.norm).normalized
  }

  /// What is added to each patch, row-major over the grid.
  ///
  /// - Shapes: -> [L, D].
  public var positions: Tensor { embedding.positions }

  /// The network with other positions, for images of another side: the weights are the same ones.
  ///
  /// - Shapes: table [G * G, D], row-major over the grid; the images are then G * P pixels wide.
  public func placed(at table: Tensor) -> ViT {
    let grid = Int(Double(table.shape[0]).squareRoot().rounded())
    precondition(
      table.shape == [grid * grid, configuration.width],
      "ViT.placed: positions \(table.shape) for width \(configuration.width)")
    var result = self
    result.configuration.imgSize = grid * configuration.patch
    result.embedding.positions = table
    return result
  }

  /// The network for images of another side, its positions resampled. Call it when the weights are loaded: stored
  /// positions are resampled as they are now.
  ///
  /// - Parameters:
  ///   - side: a multiple of the patch's side; for the network's own side nothing changes.
  public func resized(to side: Int) -> ViT {
    precondition(
      side > 0 && side % configuration.patch == 0,
      "ViT.resized: \(side) pixels in patches of \(configuration.patch)")
    guard side != configuration.imgSize else { return self }
    return placed(at: resampledPositions(positions, from: configuration.grid, to: side / configuration.patch))
  }

  /// One vector per image, without gradient and without a mask.
  ///
  /// - Shapes: images [B, C, S, S] -> [B, D].
  public func features(_ images: Tensor, pool: Pooling) -> Tensor {
    withoutGradient { pooled(self(images), pool).value }
  }

  /// One vector per image from encoded tokens.
  ///
  /// - Shapes: tokens [B, 1 + k, D] -> [B, D].
  /// - Gradient: to the tokens.
  public func pooled(_ tokens: Variable, _ pool: Pooling) -> Variable {
    switch pool {
    case .meanPatch: return meanTokens(tokens, skipping: classTokens)  // [B, D]
    case .classToken:
      let first = [Int32](repeating: 0, count: tokens.shape[0])
      return reshape(gatherTokens(tokens, indices: first, perImage: 1), [first.count, tokens.shape[2]])  // [B, D]
    }
  }
}
