import Tensors

/// One step of SGD with momentum, or of LARS.
///
/// v <- momentum v + q (g + decay w); w <- w - rate v. SGD has q = 1. LARS has q = trust |w| / |g + decay w| for
/// matrices where neither is 0, and leaves decay and trust away for biases.
/// - Source: spec/evaluation.md E3; You, Gitman and Ginsburg, 2017, in the form that MAE's probe uses.
struct LinearUpdate {
  var optimizer: LinearOptimizer
  var rate: Float
  var momentum: Float
  var weightDecay: Float

  private static let trust = 0.001
  /// Numbers that a thread takes at least.
  private static let grain = 16384

  /// Moves weights and velocity; the gradient is scratch afterwards.
  func apply(_ gradient: Tensor, to weights: Tensor, velocity: Tensor, isBias: Bool) {
    precondition(
      gradient.count == weights.count && velocity.count == weights.count,
      "LinearUpdate: gradient \(gradient.shape) for weights \(weights.shape)")
    let (g, w, v) = (gradient.pointer, weights.pointer, velocity.pointer)
    let isLayerwise = optimizer == .lars && !isBias
    if weightDecay > 0, isLayerwise || optimizer == .sgd {
      let decay = weightDecay
      Team.split(gradient.count, grain: LinearUpdate.grain) { range in for i in range { g[i] += decay * w[i] } }
    }
    let (q, momentum, rate) = (isLayerwise ? trusted(gradient, weights) : 1, momentum, rate)
    Team.split(gradient.count, grain: LinearUpdate.grain) { range in
      for i in range {
        v[i] = momentum * v[i] + q * g[i]
        w[i] -= rate * v[i]
      }
    }
  }

  private func trusted(_ gradient: Tensor, _ weights: Tensor) -> Float {
    let gradientNorm = Kernels.sumOfSquares(gradient.pointer, count: gradient.count).squareRoot()
    let weightNorm = Kernels.sumOfSquares(weights.pointer, count: weights.count).squareRoot()
    return gradientNorm > 0 && weightNorm > 0 ? Float(LinearUpdate.trust * weightNorm / gradientNorm) : 1
  }
}
