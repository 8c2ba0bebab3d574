import Layers
import Optimizers

/// A part of a model that follows its trained twin of the same names slowly, and runs by itself.
final class SlowCopy<Part> {
  /// The part; it is never trained.
  let part: Part
  private let momentum: Double
  private let builder: ModelBuilder
  private var weights: EMACopy?

  /// Declares the part in a builder of its own.
  init(momentum: Double, seed: UInt64, _ declare: (ModelBuilder) -> Part) {
    self.momentum = momentum
    builder = ModelBuilder(seed: seed)
    builder.freezes = { _ in true }
    part = declare(builder)
  }

  /// Begins with the weights of `arena`.
  func attach(to arena: ParameterArena) { weights = EMACopy(of: arena, into: builder.build()) }

  /// Begins anew with the weights of the arena: it took over others.
  func restart() { weights?.restart() }

  /// Moves towards the weights of the arena.
  func follow() { weights?.follow(momentum: momentum) }

  /// The weights under `prefix/NAME`.
  func state(_ prefix: String) -> [NamedState] { weights?.state(prefix) ?? [] }
}
