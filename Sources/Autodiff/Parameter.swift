import Tensors

/// A trained tensor: its value and its gradient are slices of the arena that it is bound to.
public final class Parameter: @unchecked Sendable {
  /// The name in the module tree, for example `blocks.0.attn.qkv.weight`.
  public let name: String
  /// The extents.
  public let shape: Shape
  /// Whether backward leaves the gradient alone.
  public var isFrozen = false
  /// Called once in a backward pass, when the last operation that uses the parameter has added its gradient.
  ///
  /// Not called for a parameter that the loss does not depend on, nor for a frozen one.
  public var gradientReady: ((Parameter) -> Void)?

  private var binding: (value: Tensor, gradient: Tensor)?

  /// A parameter without values yet.
  public init(name: String, shape: Shape) {
    self.name = name
    self.shape = shape
  }

  /// The current value.
  public var value: Tensor { bound.value }
  /// The gradient, which backward adds to.
  public var gradient: Tensor { bound.gradient }

  /// Gives the parameter its place in an arena.
  public func bind(value: Tensor, gradient: Tensor) {
    precondition(
      value.shape == shape && gradient.shape == shape,
      "Parameter \(name) of shape \(shape): bound to value \(value.shape), gradient \(gradient.shape)")
    binding = (value, gradient)
  }

  /// The value as a matrix of one row for each output. [N, ...] -> [N, K]
  var matrix: Tensor { value.reshaped([shape[0], shape.count / max(shape[0], 1)]) }
  /// The gradient as a matrix, like `matrix`.
  var gradientMatrix: Tensor { gradient.reshaped([shape[0], shape.count / max(shape[0], 1)]) }
  /// The gradient, or nil when nobody wants it.
  var wantedGradient: Tensor? { isFrozen ? nil : gradient }

  private var bound: (value: Tensor, gradient: Tensor) {
    guard let binding else { preconditionFailure("Parameter \(name): used before it was bound to an arena") }
    return binding
  }
}
