import Autodiff
import Basics
import Layers
import Tensors

/// A slow copy of a model's weights: a = momentum * a + (1 - momentum) * w.
///
/// The copy lives in an arena of its own. Give it the arena of a second model (a teacher that must run, which may hold
/// fewer parts than the student) and the parameters with equal names follow; without one it only holds weights.
/// What is frozen in the source for good never moves: it is copied and not averaged, so it stays the same bit for bit.
/// When to follow is the owner's decision: before the forward pass, after the update, or once per epoch.
public final class EMACopy {
  /// The arena of the copy.
  public let arena: ParameterArena
  private let source: ParameterArena
  private let links: [Link]
  private let constants: [Link]

  /// A stretch of weights that lies in one piece in both arenas.
  private struct Link {
    let source: Int
    let copy: Int
    let count: Int
  }

  private static let pieceLength = 1 << 14

  /// Copies the weights of `source` once. Parameters of the copy are frozen; those of an arena made here have no
  /// gradients.
  ///
  /// - Parameters:
  ///   - copy: a second arena; every parameter with a name of the source has its shape. Build it with
  ///     `ModelBuilder.freezes`, so that it has no gradients either.
  public init(of source: ParameterArena, into copy: ParameterArena? = nil) {
    self.source = source
    arena =
      copy
      ?? ParameterArena(source.parameters.map { Parameter(name: $0.name, shape: $0.shape, isFrozen: true) })
    let moving = Set(source.trainable.map(\.name))
    var links: [Link] = []
    var constants: [Link] = []
    for parameter in arena.parameters {
      parameter.isFrozen = true
      guard let original = source[parameter.name] else { continue }
      precondition(
        original.shape == parameter.shape,
        "EMACopy: \(parameter.name) is \(parameter.shape), its source \(original.shape)")
      let from = source.range(of: original)
      let to = arena.range(of: parameter)
      for start in stride(from: 0, to: from.count, by: Self.pieceLength) {
        let link = Link(
          source: from.lowerBound + start, copy: to.lowerBound + start,
          count: min(Self.pieceLength, from.count - start))
        if moving.contains(parameter.name) { links.append(link) } else { constants.append(link) }
      }
    }
    self.links = links
    self.constants = constants
    restart()
  }

  /// Copies the weights of the source once more: a stage that took over other weights begins its average with them.
  public func restart() {
    for link in links + constants {
      (arena.weights.pointer + link.copy).update(from: source.weights.pointer + link.source, count: link.count)
    }
  }

  /// The averaged weights, in the layout of `arena`.
  public var weights: Tensor { arena.weights }

  /// The names of the parameters that come from the source.
  public var names: [String] { arena.parameters.map(\.name).filter { source[$0] != nil } }

  /// All parameters of the copy under `prefix/NAME`, for checkpoints and replica checks.
  public func state(_ prefix: String) -> [NamedState] {
    arena.parameters.map { NamedState("\(prefix)/\($0.name)", $0.value) }
  }

  /// Moves the copy towards the source; `momentum` 1 leaves it, 0 copies.
  public func follow(momentum: Double) {
    let (copy, current) = (arena.weights.pointer, source.weights.pointer)
    OpClock.measure(.optimiser, work: 3 * links.reduce(0) { $0 + $1.count }) {
      Team.split(links.count) { range in
        for link in links[range] {
          Kernels.exponentialAverage(
            copy + link.copy, current + link.source, count: link.count, momentum: Float(momentum))
        }
      }
    }
  }
}
