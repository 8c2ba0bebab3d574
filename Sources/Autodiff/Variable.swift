import Basics
import Tensors

/// A value on the tape. Building and backward run on the main thread.
public struct Variable {
  /// The value.
  public let value: Tensor
  /// The operation that made the value, when its gradient is wanted.
  let node: Node?
  /// Which of the operation's outputs the value is.
  let output: Int
  /// How a pullback holds the value.
  let kept: KeptValue

  /// A value without gradient.
  public init(constant: Tensor) { self.init(value: constant, node: nil, output: 0) }

  init(value: Tensor, node: Node?, output: Int, kept: KeptValue? = nil) {
    self.value = value
    self.node = node
    self.output = output
    self.kept = kept ?? .tensor(value)
  }

  /// The same variable, whose value pullbacks make again with `make` instead of holding it.
  func made(by make: @escaping () -> Tensor) -> Variable {
    Variable(value: value, node: node, output: output, kept: .again(make))
  }

  /// The extents of the value.
  public var shape: Shape { value.shape }
  /// Whether backward would come here.
  public var needsGradient: Bool { node != nil }
  /// The same value, where backward stops.
  public var detached: Variable { Variable(constant: value) }

  /// An input whose gradient can be read after backward; for tests and for methods that need d loss / d input.
  public static func leaf(_ value: Tensor) -> (Variable, gradient: () -> Tensor?) {
    let node = Node(outputs: [value.shape], parents: [], parameters: [], op: .other, pullback: nil)
    return (Variable(value: value, node: node, output: 0), { node.slots[0].tensor })
  }

  /// Runs the pullbacks of everything this scalar depends on, newest first.
  ///
  /// Gradients are added to those of the parameters. Each operation's memory returns to the pool as it is passed,
  /// so this can be called once.
  public func backward(seed: Float = 1) {
    precondition(value.count == 1, "backward: needs a scalar, got \(shape)")
    backward(gradient: Tensor(repeating: seed, shape))
  }

  /// The same from a value of any shape, whose gradient is given.
  public func backward(gradient: Tensor) {
    guard let node else { return }
    precondition(gradient.count == value.count, "backward: gradient \(gradient.shape) for \(shape)")
    node.slots[output].add(gradient)
    runBackward(from: [node])
  }
}

/// A value that backward needs.
enum KeptValue {
  /// The value itself, kept from forward to backward.
  case tensor(Tensor)
  /// The same bits made again from what the operation before keeps in any case.
  case again(() -> Tensor)

  var value: Tensor {
    switch self {
    case .tensor(let value): value
    case .again(let make): make()
    }
  }
}

/// Runs `body` without recording: every result is a constant.
public func withoutGradient<R>(_ body: () throws -> R) rethrows -> R {
  try Tape.recording(false, body)
}

/// Adds an operation of several results to the tape.
///
/// - Parameters:
///   - values: the results.
///   - inputs: what they depend on; `parameters` likewise, whose gradients the pullback adds by itself.
///   - op: the kind of work that the pullback's time counts to; nil when the pullback measures by itself.
///   - pullback: from the gradients of the results (nil where nothing came back) to those of the inputs, in their
///     order (nil where none is wanted). It must not change a tensor that it was given.
/// - Returns: the results, constants when no input and no unfrozen parameter wants a gradient.
public func record(
  _ values: [Tensor], from inputs: [Variable], using parameters: [Parameter] = [], as op: OpClass?,
  pullback: @escaping (_ gradients: [Tensor?]) -> [Tensor?]
) -> [Variable] {
  guard Tape.records(inputs, parameters) else { return values.map { Variable(constant: $0) } }
  let node = Node(
    outputs: values.map(\.shape), parents: inputs.map { Edge(node: $0.node, output: $0.output) },
    parameters: parameters.filter { !$0.isFrozen }, op: op, pullback: pullback)
  return values.indices.map { Variable(value: values[$0], node: node, output: $0) }
}

/// Adds an operation of one result to the tape; see the form for several.
public func record(
  _ value: Tensor, from inputs: [Variable], using parameters: [Parameter] = [], as op: OpClass,
  pullback: @escaping (_ gradient: Tensor) -> [Tensor?]
) -> Variable {
  record([value], from: inputs, using: parameters, as: op) { gradients in
    guard let gradient = gradients[0] else { return [] }
    return pullback(gradient)
  }[0]
}
