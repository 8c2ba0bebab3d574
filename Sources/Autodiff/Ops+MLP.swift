import Basics
import Tensors

// R rows, D width, H hidden width.

/// The two layers of a block's MLP without the bias of the second: GELU(x W1ᵀ + b1) W2ᵀ, exact erf.
///
/// - Shapes: x [.., D], weight1 [H, D], bias1 [H], weight2 [D, H] -> [.., D]
/// - Gradient: to x and the three parameters.
/// - Memory: keeps the value before GELU [R, H] alone. Backward makes GELU again in the pass that differentiates it,
///   over the value that is no longer needed.
public func mlp(_ x: Variable, _ weight1: Parameter, bias1: Parameter, _ weight2: Parameter) -> Variable {
  let (input, w1, w2) = (x.value, weight1.matrix, weight2.matrix)
  precondition(
    w1.shape == [w2.shape[1], x.shape.lastAxis] && bias1.shape.count == w1.shape[0],
    "mlp: x \(x.shape), weights \(w1.shape) and \(w2.shape), bias \(bias1.shape)")
  let hidden = Tensor(uninitialized: x.shape.replacingLast(w1.shape[0]))
  let y = Tensor(uninitialized: x.shape.replacingLast(w2.shape[0]))
  let isRecorded = Tape.records([x], [weight1, bias1, weight2])
  OpClock.measure(.linear, work: productFlops(input, weight1) + productFlops(hidden, weight2)) {
    OpClock.count(.elementwise, work: 2 * hidden.count)  // GELU
    // Without a tape GELU may overwrite its input.
    let activated = isRecorded ? Tensor(uninitialized: hidden.shape) : hidden
    Matmul.forward(
      input, w1, bias: bias1.value, into: hidden,
      finish: { rows in OpClock.measure(.elementwise) { Kernels.gelu(hidden, into: activated, rows: rows) } })
    Matmul.forward(activated, w2, into: y)
  }
  let (pull, held) = (linearPullback(x, weight1), HeldTensor(hidden))
  return record(y, from: [x], using: [weight1, bias1, weight2], as: .linear) { dy in
    // The value before GELU is gone before `pull` asks for memory: backward needs most at its first MLP.
    [pull(hiddenGradient(dy, held.taken(), bias1, weight2))]
  }
}

/// The gradient before GELU, of which both gradients of the first layer are made; adds those of bias1 and weight2.
///
/// - Shapes: dy [.., D], hidden [.., H], which is overwritten -> [.., H]
private func hiddenGradient(_ dy: Tensor, _ hidden: Tensor, _ bias1: Parameter, _ weight2: Parameter) -> Tensor {
  let gradient = Tensor(uninitialized: hidden.shape)
  let flops = productFlops(hidden, weight2)
  OpClock.count(.linear, work: flops)
  Matmul.dataGradient(dy, weight2.matrix, into: gradient)  // of GELU's result
  OpClock.measure(.elementwise, work: 4 * hidden.count) {
    Kernels.geluBackward(overwriting: gradient, hidden, biasGradient: bias1.wantedGradient)
  }
  if !weight2.isFrozen {
    OpClock.count(.linear, work: flops)
    Matmul.weightGradient(dy, hidden, into: weight2.gradientMatrix)
  }
  return gradient
}

/// What backward takes once and then frees, before its operation ends.
private final class HeldTensor {
  private var tensor: Tensor?

  init(_ tensor: Tensor) { self.tensor = tensor }

  func taken() -> Tensor {
    guard let tensor else { preconditionFailure("HeldTensor: taken twice") }
    self.tensor = nil
    return tensor
  }
}
