import Basics

/// The measurement behind `runtime.gemm: auto`.
public enum ProductTuning {
  /// The speed of each installed engine in one product.
  public struct Measurement: Sendable {
    /// The product and the weight's shape.
    public let key: ProductPlan.Key
    /// - Units: 10⁹ floating point operations a second, one thread.
    public let rates: [(engine: ProductEngine, gigaflops: Double)]
    /// The fastest.
    public var best: ProductEngine { rates.max { $0.gigaflops < $1.gigaflops }?.engine ?? .openblas }
  }

  /// Times the three products of every weight [n, k] with every installed engine, `rows` rows of activations, on the
  /// calling thread. Engines take turns, so that all meet the same machine; the best of some rounds counts.
  public static func measure(weights: [(n: Int, k: Int)], rows: Int, rounds: Int = 3) -> [Measurement] {
    let engines = ProductEngine.allCases.filter(\.isInstalled)
    return weights.flatMap { n, k in
      let x = Tensor(repeating: 0.5, [rows, k])
      let y = Tensor(repeating: 0.25, [rows, n])
      let weight = Tensor(repeating: 0.125, [n, k])
      return LinearProduct.allCases.map { product in
        var least = [Double](repeating: .infinity, count: engines.count)
        for round in 0...rounds {
          for (i, engine) in engines.enumerated() {
            let start = monotonicSeconds()
            run(product, x, y, weight, engine)
            // The first round brings code and memory in.
            if round > 0 { least[i] = min(least[i], monotonicSeconds() - start) }
          }
        }
        let operations = 2e-9 * Double(rows) * Double(n) * Double(k)
        return Measurement(
          key: .init(product, n: n, k: k), rates: zip(engines, least).map { ($0, operations / max($1, 1e-9)) })
      }
    }
  }

  private static func run(
    _ product: LinearProduct, _ x: Tensor, _ y: Tensor, _ weight: Tensor, _ engine: ProductEngine
  ) {
    let (r, n, k) = (x.shape[0], weight.shape[0], weight.shape[1])
    switch product {
    case .forward:
      Matmul.multiply(
        x.pointer, k, weight.pointer, k, transposeB: true, y.pointer, n, m: r, n: n, k: k, engine: engine)
    case .dataGradient:
      Matmul.multiply(y.pointer, n, weight.pointer, k, x.pointer, k, m: r, n: k, k: n, engine: engine)
    case .weightGradient:
      Matmul.multiply(
        y.pointer, n, transposeA: true, x.pointer, k, weight.pointer, k, m: n, n: k, k: r, engine: engine)
    }
  }
}
