import Basics
import Tensors

// R rows, K inputs, N outputs.

/// x Wᵀ + b.
///
/// - Shapes: x [.., K], weight [N, K], bias [N] -> [.., N]
/// - Gradient: to x, weight and bias.
public func linear(_ x: Variable, _ weight: Parameter, bias: Parameter? = nil) -> Variable {
  let input = x.value
  let y = Tensor(uninitialized: x.shape.replacingLast(weight.shape[0]))
  OpClock.measure(.linear, work: productFlops(input, weight)) {
    if let bias = bias?.value {
      Matmul.forward(input, weight.matrix, bias: bias, into: y)
    } else {
      Matmul.forward(input, weight.matrix, into: y)
    }
  }
  let pull = linearPullback(x, weight)
  return record(y, from: [x], using: [weight] + [bias].compactMap { $0 }, as: .linear) { dy in
    if let gradient = bias?.wantedGradient {
      OpClock.measure(.elementwise, work: dy.count) { Kernels.addColumnSums(of: dy, to: gradient) }
    }
    return [pull(dy)]
  }
}

/// Patch embedding: patches Wᵀ + b + the position of each patch.
///
/// - Shapes: patches [B, k, C P P], weight [D, C, P, P] or [D, C P P], bias [D], positions [L, D],
///   indices [B k] in 0 ..< L, nil for 0 ..< L in every image -> [B, k, D]
/// - Gradient: to weight and bias.
public func patchLinear(
  _ patches: Tensor, _ weight: Parameter, bias: Parameter, positions: Tensor, indices: [Int32]? = nil
) -> Variable {
  let (rows, kept) = (patches.shape.leading, patches.shape[1])
  let places = indices ?? (0..<rows).map { Int32($0 % kept) }
  precondition(
    places.count == rows && places.allSatisfy { $0 >= 0 && Int($0) < positions.shape[0] },
    "patchLinear: \(places.count) indices for patches \(patches.shape), positions \(positions.shape)")
  let y = Tensor(uninitialized: patches.shape.replacingLast(weight.shape[0]))
  OpClock.measure(.linear, work: productFlops(patches, weight)) {
    OpClock.count(.elementwise, work: y.count)
    let row = bias.value
    places.withUnsafeBufferPointer { places in
      guard let index = places.baseAddress else { return }
      Matmul.forward(
        patches, weight.matrix, into: y,
        prepare: { rows in
          OpClock.measure(.elementwise) { Kernels.biasedRows(row, positions, index, into: y, rows: rows) }
        })
    }
  }
  return record(y, from: [], using: [weight, bias], as: .linear) { dy in
    if let gradient = bias.wantedGradient {
      OpClock.measure(.elementwise, work: dy.count) { Kernels.addColumnSums(of: dy, to: gradient) }
    }
    if !weight.isFrozen {
      OpClock.count(.linear, work: productFlops(patches, weight))
      Matmul.weightGradient(dy, patches, into: weight.gradientMatrix)
    }
    return []
  }
}

/// x Mᵀ for a constant matrix, for example similarities to a codebook or a queue.
///
/// - Shapes: x [.., K], matrix [N, K] -> [.., N]
/// - Gradient: to x.
public func product(_ x: Variable, constant matrix: Tensor) -> Variable {
  let shape = x.shape
  let y = Tensor(uninitialized: shape.replacingLast(matrix.shape.leading))
  let flops = 2 * x.value.count * matrix.shape.leading
  OpClock.measure(.linear, work: flops) { Matmul.forward(x.value, matrix, into: y) }
  return record(y, from: [x], as: .linear) { dy in
    OpClock.count(.linear, work: flops)
    let dx = Tensor(uninitialized: shape)
    Matmul.dataGradient(dy, matrix, into: dx)
    return [dx]
  }
}

/// The part of backward that all linear operations share: adds the weight's gradient and makes that of x.
func linearPullback(_ x: Variable, _ weight: Parameter) -> (Tensor) -> Tensor? {
  let (shape, needsInput) = (x.shape, x.needsGradient)
  let input = weight.isFrozen ? nil : x.kept  // a frozen weight does not need its input
  let flops = productFlops(x.shape, weight)
  return { dy in
    if let input {
      OpClock.count(.linear, work: flops)
      Matmul.weightGradient(dy, input.value, into: weight.gradientMatrix)
    }
    guard needsInput else { return nil }
    OpClock.count(.linear, work: flops)
    let dx = Tensor(uninitialized: shape)
    Matmul.dataGradient(dy, weight.matrix, into: dx)
    return dx
  }
}

/// The operations of x Wᵀ, and of each of its two gradients. x [.., K], weight [N, K]
func productFlops(_ x: Shape, _ weight: Parameter) -> Int { 2 * x.count * weight.shape[0] }

func productFlops(_ x: Tensor, _ weight: Parameter) -> Int { productFlops(x.shape, weight) }
