import Autodiff
import Tensors

// Shapes: B images, N tokens, D width.

/// The residual stream between two layers: tokens, and the branch that the next LayerNorm adds to them.
///
/// Adding the branch and its bias is left to the next norm, which does it in the same pass.
public struct ResidualStream {
  let sum: Variable
  let branch: Variable?
  let branchBias: Parameter?

  /// A stream that starts with `tokens`.
  ///
  /// - Shapes: tokens [B, N, D].
  public init(_ tokens: Variable) {
    self.init(sum: tokens, branch: nil, branchBias: nil)
  }

  init(sum: Variable, branch: Variable?, branchBias: Parameter?) {
    self.sum = sum
    self.branch = branch
    self.branchBias = branchBias
  }

  /// Adds the pending branch and normalises.
  ///
  /// - Shapes: -> sum [B, N, D], normalized [B, N, D].
  public func normalized(by norm: LayerNorm) -> (sum: Variable, normalized: Variable) {
    residualLayerNorm(sum, branch: branch, branchBias: branchBias, weight: norm.weight, bias: norm.bias)
  }
}

/// Multi-head self-attention with one fused query-key-value layer.
public struct Attention {
  let qkv: Linear
  let projection: Linear
  let heads: Int

  /// Declares `attn.qkv` and `attn.proj`.
  public init(width: Int, heads: Int, _ builder: ModelBuilder) {
    precondition(width % heads == 0, "Attention: width \(width) is not a multiple of \(heads) heads")
    self.heads = heads
    (qkv, projection) = builder.scope("attn") {
      (Linear("qkv", from: width, to: 3 * width, builder), Linear("proj", from: width, to: width, builder))
    }
  }

  /// The attention branch without the bias of its projection.
  ///
  /// - Shapes: x [B, N, D] -> [B, N, D].
  public func callAsFunction(_ x: Variable) -> Variable {
    let mixed = selfAttention(x, qkvWeight: qkv.weight, qkvBias: qkv.bias, heads: heads)  // [B, N, D]
    return projection.withoutBias(mixed)
  }
}

/// A pre-norm transformer block: x += Proj(Attn(LN1 x)); x += FC2(GELU(FC1(LN2 x))).
public struct Block {
  let norm1: LayerNorm
  let attention: Attention
  let norm2: LayerNorm
  let fc1: Linear
  let fc2: Linear

  /// Declares `norm1`, `attn`, `norm2`, `mlp.fc1` and `mlp.fc2`.
  public init(width: Int, heads: Int, hidden: Int, _ builder: ModelBuilder) {
    norm1 = LayerNorm("norm1", width: width, builder)
    attention = Attention(width: width, heads: heads, builder)
    norm2 = LayerNorm("norm2", width: width, builder)
    (fc1, fc2) = builder.scope("mlp") {
      (Linear("fc1", from: width, to: hidden, builder), Linear("fc2", from: hidden, to: width, builder))
    }
  }

  /// Runs the block; its second branch stays pending. `input` is what came out of the block before.
  ///
  /// - Shapes: stream of [B, N, D] -> stream of [B, N, D].
  public func callAsFunction(_ stream: ResidualStream) -> (input: Variable, output: ResidualStream) {
    let first = stream.normalized(by: norm1)
    let attended = ResidualStream(
      sum: first.sum, branch: attention(first.normalized), branchBias: attention.projection.bias)
    let second = attended.normalized(by: norm2)
    let hidden = linearBiasGELU(second.normalized, fc1.weight, bias: fc1.bias)  // [B, N, 4D]
    let branch = fc2.withoutBias(hidden)  // [B, N, D]
    return (first.sum, ResidualStream(sum: second.sum, branch: branch, branchBias: fc2.bias))
  }
}

/// Blocks one after the other and a final LayerNorm.
public struct BlockStack {
  let blocks: [Block]
  let norm: LayerNorm

  /// Declares `blocks.0` ... and `norm`.
  public init(depth: Int, width: Int, heads: Int, hidden: Int, _ builder: ModelBuilder) {
    blocks = builder.scope("blocks") {
      (0..<depth).map { index in
        builder.scope("\(index)") { Block(width: width, heads: heads, hidden: hidden, builder) }
      }
    }
    norm = LayerNorm("norm", width: width, builder)
  }

  /// Runs all blocks.
  ///
  /// - Parameters:
  ///   - tokens: [B, N, D].
  ///   - taps: how many blocks to have run, 0 ... depth, for each inner output wanted.
  /// - Returns: the tokens after the final norm, and for each tap the tokens after that many blocks, not
  ///   normalised; all [B, N, D].
  public func callAsFunction(_ tokens: Variable, taps: [Int] = []) -> (last: Variable, taps: [Variable]) {
    precondition(
      taps.allSatisfy { (0...blocks.count).contains($0) }, "BlockStack: taps \(taps) of \(blocks.count) blocks")
    var stream = ResidualStream(tokens)
    var tapped = taps.map { _ in tokens }
    for (depth, block) in blocks.enumerated() {
      let step = block(stream)
      for (place, tap) in taps.enumerated() where tap == depth { tapped[place] = step.input }
      stream = step.output
    }
    let end = stream.normalized(by: norm)
    for (place, tap) in taps.enumerated() where tap == blocks.count { tapped[place] = end.sum }
    return (end.normalized, tapped)
  }
}
