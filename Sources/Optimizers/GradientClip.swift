import Layers
import Tensors

/// How large a gradient may be.
public enum GradientClip: Equatable, Sendable {
  /// As large as it likes.
  case none
  /// All gradients together: times min(1, limit / (norm + 1e-6)).
  case globalNorm(Double)
  /// Each tensor by itself, by the same formula.
  case perTensor(Double)

  /// Clips reduced gradients and returns what the optimiser still has to multiply them by.
  ///
  /// Global clipping leaves the gradients alone and returns the factor. Per-tensor clipping scales them in place and
  /// returns 1. Local: equal gradients give equal results on every rank.
  ///
  /// - Parameters:
  ///   - sumOfSquares: of all gradients, as the bucket report delivers it.
  public func apply(to arena: ParameterArena, sumOfSquares: Double) -> Float {
    switch self {
    case .none: return 1
    case .globalNorm(let limit): return Self.factor(sumOfSquares, limit)
    case .perTensor(let limit):
      for index in arena.trainable.indices {
        let gradient = arena.slice(arena.gradients, at: index)
        let factor = Self.factor(Kernels.sumOfSquares(gradient.pointer, count: gradient.count), limit)
        if factor < 1 { Kernels.scale(gradient.pointer, count: gradient.count, by: factor) }
      }
      return 1
    }
  }

  private static func factor(_ sumOfSquares: Double, _ limit: Double) -> Float {
    Float(min(1, limit / (sumOfSquares.squareRoot() + 1e-6)))
  }
}
