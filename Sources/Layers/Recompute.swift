/// What of a transformer block is computed again in backward instead of being kept from forward.
///
/// The gradients are the same bits in all three. D is the width, per token and block, of which a norm's output and
/// GELU's are never kept, since backward makes them again in passes it needs anyway.
public enum Recompute: String, CaseIterable, Sendable {
  /// Keeps 10 D: both residual sums, qkv (3), attention's output, and the value before GELU (4).
  case none
  /// Keeps 7 D: runs the qkv product again.
  case attention
  /// Keeps D, the residual sum the block starts with: runs the block's forward again.
  case block
}
