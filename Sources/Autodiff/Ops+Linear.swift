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
  OpClock.measure(.linear) {
    if let bias = bias?.value {
      Matmul.forward(input, weight.matrix, into: y, prepare: { Kernels.repeatRow(bias, into: y, rows: $0) })
    } else {
      Matmul.forward(input, weight.matrix, into: y)
    }
  }
  let pull = linearPullback(x, weight)
  return record(y, from: [x], using: [weight] + [bias].compactMap { $0 }, as: .linear) { dy in
    if let gradient = bias?.wantedGradient { Kernels.addColumnSums(of: dy, to: gradient) }
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
  OpClock.measure(.linear) {
    let row = bias.value
    places.withUnsafeBufferPointer { places in
      guard let index = places.baseAddress else { return }
      Matmul.forward(
        patches, weight.matrix, into: y, prepare: { Kernels.biasedRows(row, positions, index, into: y, rows: $0) })
    }
  }
  return record(y, from: [], using: [weight, bias], as: .linear) { dy in
    if let gradient = bias.wantedGradient { Kernels.addColumnSums(of: dy, to: gradient) }
    if !weight.isFrozen { Matmul.weightGradient(dy, patches, into: weight.gradientMatrix) }
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
  OpClock.measure(.linear) { Matmul.forward(x.value, matrix, into: y) }
  return record(y, from: [x], as: .linear) { dy in
    let dx = Tensor(uninitialized: shape)
    Matmul.dataGradient(dy, matrix, into: dx)
    return [dx]
  }
}

/// The part of backward that all linear operations share: adds the weight's gradient and makes that of x.
func linearPullback(_ x: Variable, _ weight: Parameter) -> (Tensor) -> Tensor? {
  let (shape, needsInput) = (x.shape, x.needsGradient)
  let input = weight.isFrozen ? nil : x.kept  // a frozen weight does not need its input
  return { dy in
    if let input { Matmul.weightGradient(dy, input.value, into: weight.gradientMatrix) }
    guard needsInput else { return nil }
    let dx = Tensor(uninitialized: shape)
    Matmul.dataGradient(dy, weight.matrix, into: dx)
    return dx
  }
}
