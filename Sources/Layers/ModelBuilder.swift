import Autodiff
import Basics
import Tensors

/// How a parameter gets its first values.
///
/// Every parameter draws from its own stream, keyed by (seed, full name): adding a layer changes no other one.
public enum Initialiser: Equatable, Sendable {
  /// All zero.
  case zeros
  /// All one.
  case ones
  /// One value everywhere.
  case constant(Float)
  /// N(0, std^2), not truncated.
  case normal(std: Double)
  /// U(-bound, bound).
  case uniform(bound: Double)
  /// U(-a, a) with a = sqrt(6 / (fanIn + fanOut)).
  case xavierUniform(fanIn: Int, fanOut: Int)
  /// The sine-cosine positions of a grid; the parameter ends with [grid * grid, width].
  case sinCosPositions(grid: Int)

  /// Fills `values`, drawing from the stream of `name`.
  func fill(_ values: Tensor, name: String, seed: UInt64) {
    switch self {
    case .zeros: values.fill(0)
    case .ones: values.fill(1)
    case .constant(let value): values.fill(value)
    case .sinCosPositions(let grid):
      values.assign(Layers.sinCosPositions(width: values.shape.dims.last ?? 0, grid: grid))
    case .normal(let std): draw(values, name, seed) { Float(std * $0.normal()) }
    case .uniform(let bound): draw(values, name, seed) { Float($0.uniform(-bound..<bound)) }
    case .xavierUniform(let fanIn, let fanOut):
      let bound = (6 / Double(fanIn + fanOut)).squareRoot()
      draw(values, name, seed) { Float($0.uniform(-bound..<bound)) }
    }
  }

  private func draw(_ values: Tensor, _ name: String, _ seed: UInt64, _ next: (inout RandomStream) -> Float) {
    let index = Int(truncatingIfNeeded: stableHash(name) >> 1)
    var stream = RandomStream(seed: seed, purpose: .initialisation, index: index)
    let base = values.pointer
    for i in 0..<values.count { base[i] = next(&stream) }
  }
}

/// Collects the parameters of a model in the order of their declaration and lays them out in one arena.
///
/// Layers declare what they own in their initialisers; `build()` then allocates and fills everything at once.
public final class ModelBuilder {
  /// Which parameters, by full name, are frozen from their declaration on and have no gradient; none by default.
  public var freezes: (String) -> Bool = { _ in false }
  /// What the blocks that are declared here compute again in backward.
  let recompute: Recompute
  private let seed: UInt64
  private var path: [String] = []
  private var declared: [(parameter: Parameter, initialiser: Initialiser)] = []
  private var names: Set<String> = []

  /// A builder whose initial values derive from `seed`.
  public init(seed: UInt64, recompute: Recompute = .none) {
    self.seed = seed
    self.recompute = recompute
  }

  /// How many numbers have been declared so far.
  public var parameterCount: Int { declared.reduce(0) { $0 + $1.parameter.shape.count } }

  /// Declares a parameter under the current scope; it can be used once `build()` has run.
  ///
  /// - Parameters:
  ///   - isFrozen: never trained, whatever `freezes` says.
  public func parameter(
    _ name: String, _ shape: Shape, _ initialiser: Initialiser, isFrozen: Bool = false
  ) -> Parameter {
    let fullName = (path + [name]).joined(separator: ".")
    precondition(names.insert(fullName).inserted, "ModelBuilder: parameter \(fullName) is declared twice")
    let parameter = Parameter(name: fullName, shape: shape, isFrozen: isFrozen || freezes(fullName))
    declared.append((parameter, initialiser))
    return parameter
  }

  /// Puts `name` and a dot before the names of everything that `body` declares.
  public func scope<R>(_ name: String, _ body: () throws -> R) rethrows -> R {
    path.append(name)
    defer { path.removeLast() }
    return try body()
  }

  /// Allocates the arena, binds every parameter to its slices and fills the weights. Call it once.
  public func build() -> ParameterArena {
    let arena = ParameterArena(declared.map(\.parameter))
    for (parameter, initialiser) in declared {
      initialiser.fill(parameter.value, name: parameter.name, seed: seed)
    }
    return arena
  }
}
