/// How large a gradient may be.
public enum GradientClip: Equatable, Sendable {
  /// As large as it likes.
  case none
  /// All gradients together: times min(1, limit / (norm + 1e-6)).
  case globalNorm(Double)
  /// Each tensor by itself, by the same formula.
  case perTensor(Double)

  /// What the optimiser has to multiply reduced gradients by; they stay as they are.
  ///
  /// - Parameters:
  ///   - sumsOfSquares: of the gradient of each trainable parameter, as the bucket report delivers them.
  public func scale(sumsOfSquares: [Double]) -> GradientScale {
    switch self {
    case .none: .all(1)
    case .globalNorm(let limit): .all(Self.factor(sumsOfSquares.reduce(0, +), limit))
    case .perTensor(let limit): .each(sumsOfSquares.map { Self.factor($0, limit) })
    }
  }

  private static func factor(_ sumOfSquares: Double, _ limit: Double) -> Float {
    Float(min(1, limit / (sumOfSquares.squareRoot() + 1e-6)))
  }
}

/// What an update multiplies gradients by.
public enum GradientScale: Equatable, Sendable {
  /// All by the same factor.
  case all(Float)
  /// Those of each trainable parameter by its own, in the arena's order.
  case each([Float])

  /// The factor of the trainable parameter at `index`.
  public subscript(index: Int) -> Float {
    switch self {
    case .all(let factor): factor
    case .each(let factors): factors[index]
    }
  }
}
