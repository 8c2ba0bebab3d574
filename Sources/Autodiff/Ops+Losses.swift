import Basics
import Tensors

/// MAE's loss: the squared error of removed patches, averaged over their elements.
///
/// - Shapes: prediction, target [B, L, d]; mask B L values, 1 = removed -> scalar
/// - Gradient: to the prediction.
/// - Source: spec mae-ct 2.3: sum_t M_t mean_j (prediction - target)² / sum_t M_t, sums over the batch.
public func maskedPatchLoss(_ prediction: Variable, target: Tensor, mask: [Float]) -> Variable {
  precondition(
    prediction.shape.count == target.count && mask.count == prediction.shape.leading,
    "maskedPatchLoss: prediction \(prediction.shape), target \(target.shape), \(mask.count) mask values")
  let removed = mask.reduce(0.0) { $0 + Double($1) }
  precondition(removed > 0, "maskedPatchLoss: the mask of \(prediction.shape) removes nothing")
  let value = prediction.value
  let weights = Tensor(mask, [mask.count])
  let elements = removed * Double(prediction.shape.lastAxis)
  let total = OpClock.measure(.elementwise, work: 2 * value.count) {
    Kernels.squaredError(value, target, rowWeights: weights)
  }
  return record(scalar(total / elements), from: [prediction], as: .elementwise) { dy in
    OpClock.count(.elementwise, work: 3 * value.count)
    let gradient = Tensor(uninitialized: value.shape)
    Kernels.squaredErrorBackward(
      value, target, rowWeights: weights, scale: Float(Double(dy.item) / elements), into: gradient)
    return [gradient]
  }
}

/// Softmax cross-entropy, averaged over rows.
///
/// - Shapes: logits [R, K]; targets [R, K] or labels [R] -> scalar
/// - Units: nats.
/// - Gradient: to the logits only.
public func crossEntropy(logits: Variable, targets: CrossEntropyTargets) -> Variable {
  let value = logits.value
  let rows = logits.shape.leading
  let logSums = Tensor(uninitialized: [rows])
  let total = OpClock.measure(.elementwise, work: value.count + targets.floats) {
    Kernels.crossEntropy(value, targets, logSums: logSums)
  }
  return record(scalar(total / Double(rows)), from: [logits], as: .elementwise) { dy in
    OpClock.count(.elementwise, work: 2 * value.count + targets.floats)
    let gradient = Tensor(uninitialized: value.shape)
    Kernels.crossEntropyBackward(
      value, targets, logSums: logSums, scale: dy.item / Float(rows), into: gradient)
    return [gradient]
  }
}
