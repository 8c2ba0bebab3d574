import Basics
import Tensors

/// The residual sum and its LayerNorm in one pass: sum = x + branch + branchBias, normalized = LN(sum) w + b.
///
/// The bias of the branch's last linear is added here, which saves it a pass of its own.
/// - Shapes: x, branch [.., D]; branchBias, weight, bias [D] -> two times [.., D]
/// - Gradient: to x, branch and the three parameters, in one pass.
/// - Memory: keeps the sum and its statistics; whoever needs the normalised value in backward makes it again from them.
public func residualLayerNorm(
  _ x: Variable, branch: Variable? = nil, branchBias: Parameter? = nil, weight: Parameter, bias: Parameter,
  eps: Float = 1e-6
) -> (sum: Variable, normalized: Variable) {
  precondition(
    branch.map { $0.shape == x.shape } ?? true,
    "residualLayerNorm: x \(x.shape) + branch \(branch?.shape ?? [])")
  let isSum = branch != nil || branchBias != nil
  let sum = isSum ? Tensor(uninitialized: x.shape) : x.value
  let y = Tensor(uninitialized: x.shape)
  let mean = Tensor(uninitialized: [x.shape.leading])
  let rstd = Tensor(uninitialized: [x.shape.leading])
  let arrays = isSum ? 3 + (branch == nil ? 0 : 1) : 2  // x, branch, sum and y pass through memory once each
  OpClock.measure(.normalisation, work: arrays * y.count) {
    Kernels.layerNorm(
      x.value, branch: branch?.value, branchBias: branchBias?.value, weight: weight.value, bias: bias.value, eps: eps,
      sum: sum, into: y, mean: mean, rstd: rstd)
  }
  let inputs = [x] + [branch].compactMap { $0 }
  let parameters = [weight, bias] + [branchBias].compactMap { $0 }
  let results = record([sum, y], from: inputs, using: parameters, as: .normalisation) { gradients in
    guard let dy = gradients[1] else {
      if let gradient = branchBias?.wantedGradient, let dsum = gradients[0] {
        Kernels.addColumnSums(of: dsum, to: gradient)
      }
      return [gradients[0], gradients[0]]
    }
    OpClock.count(.normalisation, work: (gradients[0] == nil ? 3 : 4) * dy.count)
    let dx = Tensor(uninitialized: sum.shape)
    Kernels.layerNormBackward(
      dy, dsum: gradients[0], sum: sum, mean: mean, rstd: rstd, weight: weight.value, into: dx,
      weightGradient: weight.wantedGradient, biasGradient: bias.wantedGradient,
      branchBiasGradient: branchBias?.wantedGradient)
    return [dx, dx]
  }
  let normalized = results[1].made {
    let again = Tensor(uninitialized: sum.shape)
    OpClock.measure(.normalisation, work: 2 * sum.count) {
      Kernels.layerNormAgain(sum, mean: mean, rstd: rstd, weight: weight.value, bias: bias.value, into: again)
    }
    return again
  }
  return (results[0], normalized)
}

/// The residual sum alone: x + branch + branchBias, the same bits as in `residualLayerNorm`.
///
/// - Shapes: x, branch [.., D], branchBias [D] -> [.., D]
/// - Gradient: to all three.
/// - Memory: keeps nothing.
public func residualSum(_ x: Variable, branch: Variable, branchBias: Parameter) -> Variable {
  precondition(
    branch.shape == x.shape && branchBias.shape.count == x.shape.lastAxis,
    "residualSum: x \(x.shape) + branch \(branch.shape) + bias \(branchBias.shape)")
  let y = Tensor(uninitialized: x.shape)
  OpClock.measure(.elementwise) { Kernels.add(x.value, branch.value, row: branchBias.value, into: y) }
  return record(y, from: [x, branch], using: [branchBias], as: .elementwise) { dy in
    if let gradient = branchBias.wantedGradient { Kernels.addColumnSums(of: dy, to: gradient) }
    return [dy, dy]
  }
}

/// Every row divided by its length: v / max(|v|, 1e-12).
///
/// - Shapes: x [.., D] -> [.., D]
public func l2Normalize(_ x: Variable) -> Variable {
  let floor: Float = 1e-12
  let y = Tensor(uninitialized: x.shape)
  let inverse = Tensor(uninitialized: [x.shape.leading])
  OpClock.measure(.normalisation, work: 2 * y.count) {
    Kernels.l2Normalize(x.value, floor: floor, into: y, inverse: inverse)
  }
  return record(y, from: [x], as: .normalisation) { dy in
    OpClock.count(.normalisation, work: 3 * dy.count)
    let dx = Tensor(uninitialized: y.shape)
    Kernels.l2NormalizeBackward(dy, y: y, inverse: inverse, floor: floor, into: dx)
    return [dx]
  }
}
