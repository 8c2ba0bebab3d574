import Basics
import Tensors

/// Multi-head self-attention from its qkv product to the joined heads, before the output projection.
///
/// Every thread takes a few images at a time through the qkv product and attention, so that both stay in cache; the
/// scores of a head never leave it. Backward computes the probabilities again and overwrites the saved qkv by its
/// gradient.
/// - Shapes: x [B, N, D]; qkvWeight [3 D, D], qkvBias [3 D] (which, head, element) -> [B, N, D]
/// - Gradient: to x and both parameters; that of the key bias is exactly 0, as it is mathematically.
/// - Parameter keepsQKV: false to run the qkv product again in backward, group by group: the same bits.
/// - Memory: keeps qkv [B, N, 3 D] unless told otherwise, and the log-sum-exp [B, heads, N].
public func selfAttention(
  _ x: Variable, qkvWeight: Parameter, qkvBias: Parameter, heads: Int, keepsQKV: Bool = true
) -> Variable {
  let plan = AttentionPlan(x.shape, qkvWeight.shape, heads: heads)
  let (kept, needsInput) = (x.kept, x.needsGradient)
  let y = Tensor(uninitialized: x.shape)
  let logSums = Tensor(uninitialized: [plan.images, heads, plan.tokens])
  let isKept = keepsQKV && Tape.records([x], [qkvWeight, qkvBias])
  let saved = isKept ? Tensor(uninitialized: plan.qkvShape) : nil  // [B, N, 3 D]
  OpClock.measure(.attention) {
    plan.forward(x.value, qkvWeight.matrix, qkvBias.value, saving: saved, logSums: logSums, into: y)
  }
  return record(y, from: [x], using: [qkvWeight, qkvBias], as: .attention) { dy in
    let input = kept.value
    let dx = needsInput ? Tensor(uninitialized: input.shape) : nil
    let qkv = saved ?? Tensor(uninitialized: plan.qkvShape)
    plan.backward(
      dy, overwriting: qkv, madeAgainFrom: saved == nil ? (input, qkvBias.value) : nil, logSums: logSums,
      qkvWeight.matrix, biasGradient: qkvBias.wantedGradient, into: dx)
    if !qkvWeight.isFrozen { Matmul.weightGradient(qkv, input, into: qkvWeight.gradientMatrix) }
    return [dx]
  }
}
