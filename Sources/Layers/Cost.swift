/// The arithmetic of one image, counted in multiply-accumulates of the forward pass, attention included.
///
/// Norms, activations and the optimiser are left out, as in every published count.
public struct ForwardCost: Equatable, Sendable {
  /// What the backward pass repeats twice: gradients of inputs and of weights.
  public var layers: Double
  /// The patch embedding, whose input needs no gradient.
  public var embedding: Double

  /// No work.
  public init(layers: Double = 0, embedding: Double = 0) {
    self.layers = layers
    self.embedding = embedding
  }

  /// Floating-point operations forward and backward: 2 per multiply-accumulate, 3 times the forward pass, 2 times
  /// for the patch embedding.
  public var trainingFlops: Double { 2 * (3 * layers + 2 * embedding) }

  /// Floating-point operations of the forward pass alone.
  public var forwardFlops: Double { 2 * (layers + embedding) }

  /// The work of two parts.
  public static func + (a: ForwardCost, b: ForwardCost) -> ForwardCost {
    ForwardCost(layers: a.layers + b.layers, embedding: a.embedding + b.embedding)
  }
}

extension ViTConfiguration {
  /// The work of one image of which `visible` patches are encoded, all when nil.
  ///
  /// The embedding counts every patch, as the measured anchors of other programs do; ours embeds the visible ones.
  public func cost(visible: Int? = nil) -> ForwardCost {
    ForwardCost(
      layers: blockCost(depth: depth, width: width, hidden: hidden, tokens: 1 + (visible ?? tokens)),
      embedding: Double(tokens * patchDim * width))
  }
}

extension DecoderConfiguration {
  /// The work of one image of which `visible` patches were encoded.
  public func cost(of encoder: ViTConfiguration, visible: Int) -> ForwardCost {
    let all = 1 + encoder.tokens
    let ends = Double((1 + visible) * encoder.width * width + encoder.tokens * width * encoder.patchDim)
    return ForwardCost(layers: ends + blockCost(depth: depth, width: width, hidden: 4 * width, tokens: all))
  }
}

private func blockCost(depth: Int, width: Int, hidden: Int, tokens: Int) -> Double {
  let products = tokens * width * (4 * width + 2 * hidden)  // qkv, projection, MLP
  let attention = 2 * tokens * tokens * width  // scores and values
  return Double(depth) * Double(products + attention)
}
