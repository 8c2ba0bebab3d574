import Basics

/// What multiplies large matrices.
///
/// Results differ by rounding between engines; a run that is to continue bit for bit keeps its choice.
public enum ProductEngine: String, CaseIterable, Sendable {
  /// `PanelProduct`: the fastest with AVX-512, and the same bits for every number of threads.
  case native
  /// OpenBLAS on one thread.
  case openblas
  /// oneDNN, loaded at run time.
  case onednn

  /// Whether this machine has it.
  public var isInstalled: Bool { self == .onednn ? OneDNN.isInstalled : true }

  /// The engine that stands for an instruction set when none is named: the faster of the two that are always there.
  public static func standard(for set: InstructionSet) -> ProductEngine { set == .avx512 ? .native : .openblas }

  /// Uses one engine for every product from now on. Call between operations, never inside one.
  ///
  /// - Throws: `Failure` of code 69 when its library is not installed.
  public static func use(_ engine: ProductEngine) throws(Failure) {
    try use(ProductPlan(engine))
  }

  /// Uses the engines of a plan from now on. Call between operations, never inside one.
  ///
  /// - Throws: `Failure` of code 69 when the library of one is not installed.
  public static func use(_ plan: ProductPlan) throws(Failure) {
    if plan.engines.contains(.onednn) { try OneDNN.require() }
    current = plan
  }

  /// Runs `body` with the program's own product, whose bits depend neither on other rows nor on threads, and goes back
  /// to what was in use before.
  public static func withNative<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    let before = current
    current = ProductPlan(.native)
    defer { current = before }
    return try body()
  }

  /// What is in use: the standard of the instruction set until `use`.
  public static var plan: ProductPlan { current ?? ProductPlan(standard(for: .chosen)) }

  /// Written by `use` and `withNative` only, between operations.
  nonisolated(unsafe) private static var current: ProductPlan?
}

/// One of the three products of a linear layer with weight [N, K].
public enum LinearProduct: String, CaseIterable, Sendable {
  /// y [R, N] = x [R, K] wᵀ
  case forward
  /// dx [R, K] = dy [R, N] w
  case dataGradient = "data_gradient"
  /// dw [N, K] = dyᵀ x
  case weightGradient = "weight_gradient"
}

/// Which engine computes which product of which weight.
public struct ProductPlan: Sendable, Equatable {
  /// A product and the shape of its weight.
  public struct Key: Hashable, Sendable {
    /// Which of the three.
    public let product: LinearProduct
    /// The weight's shape, [N, K].
    public let n, k: Int

    /// Names a product.
    public init(_ product: LinearProduct, n: Int, k: Int) {
      self.product = product
      self.n = n
      self.k = k
    }
  }

  /// For everything that `chosen` does not name.
  public let standard: ProductEngine
  /// The choices of a measurement.
  public let chosen: [Key: ProductEngine]

  /// One engine for everything, or a measurement's choices.
  public init(_ standard: ProductEngine, chosen: [Key: ProductEngine] = [:]) {
    self.standard = standard
    self.chosen = chosen
  }

  var engines: Set<ProductEngine> { Set(chosen.values).union([standard]) }

  /// The engine of one product of a weight [n, k].
  public func engine(_ product: LinearProduct, n: Int, k: Int) -> ProductEngine {
    chosen.isEmpty ? standard : chosen[Key(product, n: n, k: k)] ?? standard
  }
}
