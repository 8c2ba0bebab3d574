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

  /// The stream with its pending branch added.
  func added() -> ResidualStream {
    guard let branch, let branchBias else { return self }
    return ResidualStream(residualSum(sum, branch: branch, branchBias: branchBias))
  }

  /// Adds the pending branch and normalises.
  ///
  /// - Shapes: -> sum [B, N, D], normalized [B, N, D].
  public func normalized(by norm: LayerNorm) -> (sum: Variable, normalized: Variable) {
    residualLayerNorm(sum, branch: branch, branchBias: branchBias, weight: norm.weight, bias: norm.bias)
  }
}

/// Some tokens of every image, by index.
public struct TokenSelection {
  let indices: [Int32]  // [B k]
  let perImage: Int

  /// - Shapes: indices [B k], image by image.
  public init(indices: [Int32], perImage: Int) {
    self.indices = indices
    self.perImage = perImage
  }

  /// - Shapes: x [B, N, D] -> [B, k, D].
  func callAsFunction(_ x: Variable) -> Variable { gatherTokens(x, indices: indices, perImage: perImage) }
}

/// Tokens before they stand in their places: each image's own, and those that all images share.
public struct SharedTokens {
  let own: Variable
  let shared: Variable
  let places: TokenPlaces

  /// - Shapes: own [B, M, D], shared [P, D].
  public init(own: Variable, shared: Variable, places: TokenPlaces) {
    self.own = own
    self.shared = shared
    self.places = places
  }

  /// The tokens of every image in their places.
  ///
  /// - Shapes: -> [B, N, D].
  public func placed() -> Variable { placeTokens(own: own, shared: shared, places) }
}

/// Multi-head self-attention with one fused query-key-value layer.
public struct Attention {
  let qkv: Linear
  let projection: Linear
  let heads: Int
  private let keepsQKV: Bool

  /// Declares `attn.qkv` and `attn.proj`.
  public init(width: Int, heads: Int, _ builder: ModelBuilder) {
    precondition(width % heads == 0, "Attention: width \(width) is not a multiple of \(heads) heads")
    self.heads = heads
    keepsQKV = builder.recompute != .attention
    (qkv, projection) = builder.scope("attn") {
      (Linear("qkv", from: width, to: 3 * width, builder), Linear("proj", from: width, to: width, builder))
    }
  }

  /// The attention branch without the bias of its projection, of all tokens or of some.
  ///
  /// - Shapes: x [B, N, D] -> [B, N, D], or [B, k, D] of the k tokens to keep.
  public func callAsFunction(_ x: Variable, keeping selection: TokenSelection? = nil) -> Variable {
    let mixed = selfAttention(
      x, qkvWeight: qkv.weight, qkvBias: qkv.bias, heads: heads, keepsQKV: keepsQKV)  // [B, N, D]
    return projection.withoutBias(selection?(mixed) ?? mixed)
  }

  /// The same for tokens that images share in part.
  ///
  /// - Shapes: own [B, M, D], shared [P, D] -> [B, N, D], or [B, k, D] of the k tokens to keep.
  func callAsFunction(_ x: SharedTokens, keeping selection: TokenSelection?) -> Variable {
    let mixed = selfAttention(
      own: x.own, shared: x.shared, x.places, qkvWeight: qkv.weight, qkvBias: qkv.bias, heads: heads,
      keepsQKV: keepsQKV)  // [B, N, D]
    return projection.withoutBias(selection?(mixed) ?? mixed)
  }
}

/// A pre-norm transformer block: x += Proj(Attn(LN1 x)); x += FC2(GELU(FC1(LN2 x))).
public struct Block {
  let norm1: LayerNorm
  let attention: Attention
  let norm2: LayerNorm
  let fc1: Linear
  let fc2: Linear
  private let recompute: Recompute

  /// Declares `norm1`, `attn`, `norm2`, `mlp.fc1` and `mlp.fc2`.
  public init(width: Int, heads: Int, hidden: Int, _ builder: ModelBuilder) {
    recompute = builder.recompute
    norm1 = LayerNorm("norm1", width: width, builder)
    attention = Attention(width: width, heads: heads, builder)
    norm2 = LayerNorm("norm2", width: width, builder)
    (fc1, fc2) = builder.scope("mlp") {
      (Linear("fc1", from: width, to: hidden, builder), Linear("fc2", from: hidden, to: width, builder))
    }
  }

  /// Runs the block; its second branch stays pending. `input` is what came out of the block before.
  ///
  /// With a selection all tokens attend to all, and everything after that is done for the tokens to keep alone.
  ///
  /// - Shapes: stream of [B, N, D] -> stream of [B, N, D], or [B, k, D] of the k tokens to keep.
  public func callAsFunction(
    _ stream: ResidualStream, keeping selection: TokenSelection? = nil
  ) -> (input: Variable, output: ResidualStream) {
    guard recompute == .block else {
      let first = stream.normalized(by: norm1)
      return (first.sum, output(branches(first.sum, attention(first.normalized, keeping: selection), selection)))
    }
    let start = stream.added().sum
    let ends = recomputed(from: [start], using: parameters) { start in
      let first = ResidualStream(start[0]).normalized(by: norm1)
      return branches(first.sum, attention(first.normalized, keeping: selection), selection)
    }
    return (start, output(ends))
  }

  /// Runs the block on tokens that images share in part: the first norm and the qkv product take each of those once.
  ///
  /// - Shapes: tokens of [B, N, D] -> stream of [B, N, D], or [B, k, D] of the k tokens to keep.
  func callAsFunction(_ tokens: SharedTokens, keeping selection: TokenSelection?) -> ResidualStream {
    func run(_ parts: [Variable]) -> [Variable] {
      let (own, shared) = (
        ResidualStream(parts[0]).normalized(by: norm1), ResidualStream(parts[1]).normalized(by: norm1)
      )
      let sums = SharedTokens(own: own.sum, shared: shared.sum, places: tokens.places)
      let normalized = SharedTokens(own: own.normalized, shared: shared.normalized, places: tokens.places)
      return branches(sums.placed(), attention(normalized, keeping: selection), selection)
    }
    let parts = [tokens.own, tokens.shared]
    return output(recompute == .block ? recomputed(from: parts, using: parameters, run) : run(parts))
  }

  /// What follows on attention: the second residual sum and the MLP's branch, its bias left out.
  ///
  /// - Shapes: sum [B, N, D], attended [B, N, D] or [B, k, D] -> two times the shape of `attended`.
  private func branches(_ sum: Variable, _ attended: Variable, _ selection: TokenSelection?) -> [Variable] {
    let stream = ResidualStream(
      sum: selection?(sum) ?? sum, branch: attended, branchBias: attention.projection.bias)
    let second = stream.normalized(by: norm2)
    return [second.sum, mlp(second.normalized, fc1.weight, bias1: fc1.bias, fc2.weight)]
  }

  private func output(_ ends: [Variable]) -> ResidualStream {
    ResidualStream(sum: ends[0], branch: ends[1], branchBias: fc2.bias)
  }

  /// What `recomputed` covers: all but the bias that stays pending.
  private var parameters: [Parameter] {
    [norm1.weight, norm1.bias, norm2.weight, norm2.bias, fc1.weight, fc1.bias, fc2.weight]
      + [attention.qkv, attention.projection].flatMap { [$0.weight, $0.bias] }
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
  ///   - selection: the tokens whose output is wanted; the last block then leaves the others out where it can.
  /// - Returns: the tokens after the final norm, and for each tap the tokens after that many blocks, not
  ///   normalised; all [B, N, D], the last two ends [B, k, D] with a selection of k tokens.
  public func callAsFunction(
    _ tokens: Variable, taps: [Int] = [], keeping selection: TokenSelection? = nil
  ) -> (last: Variable, taps: [Variable]) {
    precondition(
      taps.allSatisfy { (0...blocks.count).contains($0) }, "BlockStack: taps \(taps) of \(blocks.count) blocks")
    var stream = ResidualStream(tokens)
    var tapped = taps.map { _ in tokens }
    for (depth, block) in blocks.enumerated() {
      let step = block(stream, keeping: isLast(depth) ? selection : nil)
      for (place, tap) in taps.enumerated() where tap == depth { tapped[place] = step.input }
      stream = step.output
    }
    let end = stream.normalized(by: norm)
    for (place, tap) in taps.enumerated() where tap == blocks.count { tapped[place] = end.sum }
    return (end.normalized, tapped)
  }

  /// Runs all blocks on tokens that images share in part.
  ///
  /// - Returns: the tokens after the final norm, [B, N, D], or [B, k, D] with a selection of k tokens.
  public func callAsFunction(_ tokens: SharedTokens, keeping selection: TokenSelection? = nil) -> Variable {
    guard let first = blocks.first else { return self(tokens.placed(), keeping: selection).last }
    var stream = first(tokens, keeping: isLast(0) ? selection : nil)
    for (depth, block) in blocks.enumerated().dropFirst() {
      stream = block(stream, keeping: isLast(depth) ? selection : nil).output
    }
    return stream.normalized(by: norm).normalized
  }

  private func isLast(_ depth: Int) -> Bool { depth == blocks.count - 1 }
}
