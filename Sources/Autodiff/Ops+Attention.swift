import Basics
import Tensors

/// Multi-head self-attention from its qkv product to the joined heads, before the output projection.
///
/// Every thread takes a few images at a time through the qkv product and attention, so that both stay in cache; the
/// scores of a head never leave it. Backward computes the probabilities again and overwrites the saved qkv by its
/// gradient.
/// - Shapes: x [B, N, D]; qkvWeight [3 D, D], qkvBias [3 D] (which, head, element) -> [B, N, D]
/// - Gradient: to x and both parameters; that of the key bias is exactly 0, as it is mathematically.
/// - Memory: keeps qkv [B, N, 3 D] and the log-sum-exp [B, heads, N].
public func selfAttention(_ x: Variable, qkvWeight: Parameter, qkvBias: Parameter, heads: Int) -> Variable {
  let plan = AttentionPlan(x.shape, qkvWeight.shape, heads: heads)
  let (input, needsInput) = (x.value, x.needsGradient)
  let y = Tensor(uninitialized: x.shape)
  let qkvCount = plan.qkvShape.count
  let logSums = Tensor(uninitialized: [plan.images, heads, plan.tokens])
  let qkv = Tape.records([x], [qkvWeight, qkvBias]) ? Tensor(uninitialized: plan.qkvShape) : nil  // [B, N, 3 D]
  OpClock.count(.linear, work: plan.qkvFlops)
  OpClock.count(.elementwise, work: qkvCount)  // the bias
  OpClock.measure(.attention, work: plan.scoreFlops) {
    plan.forward(input, qkvWeight.matrix, qkvBias.value, saving: qkv, logSums: logSums, into: y)
  }
  guard let qkv else { return Variable(constant: y) }
  return record(y, from: [x], using: [qkvWeight, qkvBias], as: .attention) { dy in
    let dx = needsInput ? Tensor(uninitialized: input.shape) : nil
    OpClock.count(.attention, work: 2 * plan.scoreFlops)
    OpClock.count(.elementwise, work: qkvCount)  // the bias gradient
    if needsInput { OpClock.count(.linear, work: plan.qkvFlops) }
    plan.backward(
      dy, overwriting: qkv, logSums: logSums, qkvWeight.matrix, biasGradient: qkvBias.wantedGradient, into: dx)
    if !qkvWeight.isFrozen {
      OpClock.measure(.linear, work: plan.qkvFlops) {
        Matmul.weightGradient(qkv, input, into: qkvWeight.gradientMatrix)
      }
    }
    return [dx]
  }
}
