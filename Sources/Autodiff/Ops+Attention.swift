import Basics
import Tensors

/// Multi-head self-attention from its qkv product to the joined heads, before the output projection.
///
/// Every thread takes a few images at a time through the qkv product and attention, so that both stay in cache; the
/// scores of a head never leave it. Backward computes the probabilities again and overwrites the saved qkv by its
/// gradient; what follows from that are products of all images, since a product of few rows pushes the scores out.
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
  OpClock.count(.linear, work: plan.qkvFlops)
  func prepared(_ product: LinearProduct) -> PreparedWeight {
    OpClock.measure(.linear) { PreparedWeight(product, qkvWeight.matrix) }
  }
  OpClock.measure(.attention, work: plan.scoreFlops) {
    let weight = prepared(.forward)
    plan.forward(saving: saved, logSums: logSums, into: y) {
      plan.project(x.value, weight, qkvBias.value, $0, into: $1)
    }
  }
  return record(y, from: [x], using: [qkvWeight, qkvBias], as: .attention) { dy in
    let input = kept.value
    let dx = needsInput ? Tensor(uninitialized: input.shape) : nil
    let qkv = saved ?? Tensor(uninitialized: plan.qkvShape)
    OpClock.count(.attention, work: 2 * plan.scoreFlops)
    OpClock.count(.elementwise, work: plan.qkvShape.count)  // the bias gradient
    if needsInput { OpClock.count(.linear, work: plan.qkvFlops) }
    let weight = saved == nil ? prepared(.forward) : nil
    plan.backward(dy, overwriting: qkv, logSums: logSums, biasGradient: qkvBias.wantedGradient) { part, qkv in
      if let weight { plan.project(input, weight, qkvBias.value, part, into: qkv) }
    }
    if let dx {
      OpClock.measure(.linear) { Matmul.dataGradient(qkv, qkvWeight.matrix, into: dx) }
    }
    if !qkvWeight.isFrozen {
      OpClock.measure(.linear, work: plan.qkvFlops) {
        Matmul.weightGradient(qkv, input, into: qkvWeight.gradientMatrix)
      }
    }
    return [dx]
  }
}

/// The same for tokens of which images share some: these go through the qkv product once, not once an image.
///
/// - Shapes: own [B, M, D], shared [P, D] of `places`; qkvWeight [3 D, D], qkvBias [3 D] -> [B, N, D]
/// - Gradient: to own, shared and both parameters.
/// - Parameter keepsQKV: false to run the qkv products again in backward: the same bits.
/// - Memory: keeps the qkv of own and shared tokens unless told otherwise, and the log-sum-exp [B, heads, N].
public func selfAttention(
  own: Variable, shared: Variable, _ places: TokenPlaces, qkvWeight: Parameter, qkvBias: Parameter, heads: Int,
  keepsQKV: Bool = true
) -> Variable {
  places.check(own.value, shared.value, "selfAttention")
  let plan = AttentionPlan([places.images, places.tokens, own.shape.lastAxis], qkvWeight.shape, heads: heads)
  let inputs = [own, shared]
  func projected(_ x: Tensor) -> Tensor {  // [.., D] -> [.., 3 D]
    let (qkv, bias) = (Tensor(uninitialized: x.shape.replacingLast(3 * plan.width)), qkvBias.value)
    OpClock.measure(.linear, work: productFlops(x, qkvWeight)) {
      Matmul.forward(x, qkvWeight.matrix, bias: bias, into: qkv)
    }
    return qkv
  }
  let y = Tensor(uninitialized: [plan.images, plan.tokens, plan.width])
  let logSums = Tensor(uninitialized: [plan.images, heads, plan.tokens])
  let qkv = OpClock.measure(.attention, work: plan.scoreFlops) {
    let qkv = inputs.map { projected($0.value) }
    plan.forward(saving: nil, logSums: logSums, into: y) { places.spread(qkv[0], qkv[1], of: $0, into: $1) }
    return qkv
  }
  let (saved, kept, needsInput) = (keepsQKV ? qkv : nil, inputs.map(\.kept), inputs.map(\.needsGradient))
  return record(y, from: inputs, using: [qkvWeight, qkvBias], as: .attention) { dy in
    let inputs = kept.map(\.value)
    let qkv = saved ?? inputs.map(projected)
    let dShared = Tensor(zeros: qkv[1].shape)
    OpClock.count(.attention, work: 2 * plan.scoreFlops)
    OpClock.count(.elementwise, work: plan.qkvShape.count)  // the bias gradient
    plan.backward(
      dy, overwriting: nil, logSums: logSums, biasGradient: qkvBias.wantedGradient, summing: [dShared]
    ) {
      places.spread(qkv[0], qkv[1], of: $0, into: $1)
    } finish: { part, dqkv, sums in
      places.collect(dqkv, of: part, into: qkv[0], addingTo: sums[0])  // own qkv becomes its gradient
    }
    return zip(zip(inputs, [qkv[0], dShared]), needsInput).map { pair, isWanted in
      let (x, dqkv) = pair
      let flops = productFlops(x, qkvWeight)
      if !qkvWeight.isFrozen {
        OpClock.measure(.linear, work: flops) {
          Matmul.weightGradient(dqkv, x, into: qkvWeight.gradientMatrix)
        }
      }
      guard isWanted else { return nil }
      let dx = Tensor(uninitialized: x.shape)
      OpClock.measure(.linear, work: flops) { Matmul.dataGradient(dqkv, qkvWeight.matrix, into: dx) }
      return dx
    }
  }
}
