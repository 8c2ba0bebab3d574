import Basics
import Tensors

/// What the tape knows beside its nodes; of the main thread.
enum Tape {
  nonisolated(unsafe) private static var isRecording = true
  nonisolated(unsafe) private static var count = 0

  /// Whether an operation on these goes on the tape.
  static func records(_ inputs: [Variable], _ parameters: [Parameter]) -> Bool {
    isRecording && (inputs.contains(where: \.needsGradient) || parameters.contains { !$0.isFrozen })
  }

  /// Runs `body` with recording switched on or off.
  static func recording<R>(_ isOn: Bool, _ body: () throws -> R) rethrows -> R {
    let before = isRecording
    isRecording = isOn
    defer { isRecording = before }
    return try body()
  }

  static func nextNumber() -> Int {
    count += 1
    return count
  }
}

/// One result of an operation, as another operation refers to it.
struct Edge {
  let node: Node?
  let output: Int
}

/// The gradient of one result while it is collected.
struct GradientSlot {
  private(set) var tensor: Tensor?
  private var isOwned = false

  /// The first contribution is kept as it is, since others may hold it too; the second makes a sum of its own, and
  /// later ones are added in place.
  mutating func add(_ contribution: Tensor) {
    guard let held = tensor else {
      tensor = contribution
      return
    }
    if isOwned {
      Kernels.add(contribution.pointer, into: held.pointer, count: held.count)
    } else {
      let sum = Tensor(uninitialized: held.shape)
      Kernels.add(held, contribution, into: sum)
      tensor = sum
      isOwned = true
    }
  }

  mutating func take() -> Tensor? {
    defer { self = GradientSlot() }
    return tensor
  }
}

/// One operation of the tape.
final class Node {
  /// Rises as operations are recorded, so descending order is a valid order for backward.
  let number: Int
  let outputs: [Shape]
  let op: OpClass?
  var slots: [GradientSlot]
  private(set) var parents: [Edge]
  private(set) var parameters: [Parameter]
  private(set) var pullback: (([Tensor?]) -> [Tensor?])?
  private(set) var isSpent = false

  init(
    outputs: [Shape], parents: [Edge], parameters: [Parameter], op: OpClass?,
    pullback: (([Tensor?]) -> [Tensor?])?
  ) {
    number = Tape.nextNumber()
    self.outputs = outputs
    self.parents = parents
    self.parameters = parameters
    self.op = op
    self.pullback = pullback
    slots = outputs.map { _ in GradientSlot() }
  }

  /// Passes the collected gradients on to the parents, and lets go of everything.
  func propagate() {
    precondition(!isSpent, "backward: a value of this graph was differentiated before")
    guard let pullback else { return }
    let gradients = slots.indices.map { slots[$0].take() }
    if gradients.contains(where: { $0 != nil }) {
      let passed = if let op { OpClock.measure(op) { pullback(gradients) } } else { pullback(gradients) }
      for (parent, gradient) in zip(parents, passed) {
        guard let gradient, let node = parent.node else { continue }
        precondition(
          gradient.count == node.outputs[parent.output].count,
          "backward: gradient \(gradient.shape) for a value of shape \(node.outputs[parent.output])")
        let isSum = node.slots[parent.output].tensor != nil
        OpClock.measure(.elementwise, work: isSum ? 3 * gradient.count : 0) { node.slots[parent.output].add(gradient) }
      }
    }
    release()
  }

  private func release() {
    isSpent = true
    pullback = nil
    parents = []
    parameters = []
  }
}

/// Passes every node that the `last` ones depend on, newest first, and reports parameters whose gradient is final.
///
/// - Parameter isWhole: false for a part of the tape: other parts may use the same parameters, so none is reported.
func runBackward(from last: [Node], isWhole: Bool = true) {
  var (nodes, uses) = reachable(from: last)
  nodes.sort { $0.number < $1.number }
  while let node = nodes.popLast() {
    let parameters = node.parameters
    node.propagate()
    for parameter in parameters where isWhole {
      let left = (uses[ObjectIdentifier(parameter)] ?? 0) - 1
      uses[ObjectIdentifier(parameter)] = left
      if left == 0 { parameter.gradientReady?(parameter) }
    }
  }
}

/// The nodes below the `last` ones, these included, and how often each parameter is used by them.
private func reachable(from last: [Node]) -> ([Node], uses: [ObjectIdentifier: Int]) {
  var nodes: [Node] = []
  var uses: [ObjectIdentifier: Int] = [:]
  var seen: Set<ObjectIdentifier> = []
  var waiting = last.filter { seen.insert(ObjectIdentifier($0)).inserted }
  while let node = waiting.popLast() {
    nodes.append(node)
    for parameter in node.parameters { uses[ObjectIdentifier(parameter), default: 0] += 1 }
    for case let parent? in node.parents.map(\.node) where seen.insert(ObjectIdentifier(parent)).inserted {
      waiting.append(parent)
    }
  }
  return (nodes, uses)
}
