import Basics

/// The speed of the matrix product alone: what a training step is measured against.
public enum GEMMBenchmark {
  /// The rate of y [rows, columns] = x [rows, inner] w [columns, inner]ᵀ over at least `seconds`, after one product
  /// that is not counted.
  ///
  /// - Units: 10⁹ floating point operations a second, all threads of the team together.
  public static func gigaflops(rows: Int, columns: Int, inner: Int, seconds: Double) -> Double {
    measure([.forward], rows: rows, columns: columns, inner: inner, seconds: seconds)[0]
  }

  /// The rates of products of one weight [columns, inner] with `rows` rows, taking turns for at least `seconds` each.
  ///
  /// - Units: 10⁹ floating point operations a second, all threads of the team together.
  public static func measure(
    _ products: [LinearProduct], rows: Int, columns: Int, inner: Int, seconds: Double
  ) -> [Double] {
    let x = Tensor(repeating: 0.5, [rows, inner])
    let weight = Tensor(repeating: 0.25, [columns, inner])
    let y = Tensor(uninitialized: [rows, columns])
    let (dx, dw) = (Tensor(uninitialized: [rows, inner]), Tensor(zeros: [columns, inner]))
    func run(_ product: LinearProduct) {
      switch product {
      case .forward: Matmul.forward(x, weight, into: y)
      case .dataGradient: Matmul.dataGradient(y, weight, into: dx)
      case .weightGradient: Matmul.weightGradient(y, x, into: dw, accumulate: false)
      }
    }
    for product in products { run(product) }
    var elapsed = [Double](repeating: 0, count: products.count)
    var rounds = 0
    repeat {
      for (i, product) in products.enumerated() {
        let start = monotonicSeconds()
        run(product)
        elapsed[i] += monotonicSeconds() - start
      }
      rounds += 1
    } while elapsed.reduce(0, +) < seconds * Double(products.count)
    return elapsed.map { 2e-9 * Double(rows) * Double(columns) * Double(inner) * Double(rounds) / $0 }
  }
}
