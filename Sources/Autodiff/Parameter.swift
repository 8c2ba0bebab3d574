import Tensors

/// A trained tensor: its value and its gradient are slices of the arena that it is bound to.
public final class Parameter: @unchecked Sendable {
  /// The name in the module tree, for example `blocks.0.attn.qkv.weight`.
  public let name: String
  /// The extents.
  public let shape: Shape
  /// Whether backward leaves the gradient alone. One that was frozen when its arena was made has no gradient at all,
  /// and stays frozen.
  public var isFrozen: Bool {
    didSet { precondition(isFrozen || binding?.hasGradient ?? true, "Parameter \(name): has no room for a gradient") }
  }
  /// Called once in a backward pass, when the last operation that uses the parameter has added its gradient.
  ///
  /// Not called for a parameter that the loss does not depend on, nor for a frozen one.
  public var gradientReady: ((Parameter) -> Void)?

  private var binding: Binding?

  private struct Binding {
    let value: Tensor
    let gradient: Tensor?
    var hasGradient: Bool { gradient != nil }
  }

  /// A parameter without values yet.
  public init(name: String, shape: Shape, isFrozen: Bool = false) {
    self.name = name
    self.shape = shape
    self.isFrozen = isFrozen
  }

  /// The current value.
  public var value: Tensor { bound.value }
  /// The gradient, which backward adds to.
  public var gradient: Tensor {
    guard let gradient = bound.gradient else {
      preconditionFailure("Parameter \(name): frozen when its arena was made, so it has no gradient")
    }
    return gradient
  }

  /// Gives the parameter its place in an arena.
  /// - Parameters:
  ///   - gradient: nil for a frozen parameter that needs none.
  public func bind(value: Tensor, gradient: Tensor?) {
    precondition(
      value.shape == shape && gradient?.shape ?? shape == shape && (gradient != nil || isFrozen),
      "Parameter \(name) of shape \(shape): bound to value \(value.shape), gradient \(gradient?.shape ?? [])")
    binding = Binding(value: value, gradient: gradient)
  }

  /// The value as a matrix of one row for each output. [N, ...] -> [N, K]
  var matrix: Tensor { value.reshaped([shape[0], shape.count / max(shape[0], 1)]) }
  /// The gradient as a matrix, like `matrix`.
  var gradientMatrix: Tensor { gradient.reshaped([shape[0], shape.count / max(shape[0], 1)]) }
  /// The gradient, or nil when nobody wants it.
  var wantedGradient: Tensor? { isFrozen ? nil : gradient }

  private var bound: Binding {
    guard let binding else { preconditionFailure("Parameter \(name): used before it was bound to an arena") }
    return binding
  }
}
