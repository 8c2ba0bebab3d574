import Basics

/// The speed of the matrix product alone: what a training step is measured against.
public enum GEMMBenchmark {
  /// The rate of y [rows, columns] = x [rows, inner] w [columns, inner]ᵀ over at least `seconds`, after one product
  /// that is not counted.
  ///
  /// - Units: 10⁹ floating point operations a second, all threads of the team together.
  public static func gigaflops(rows: Int, columns: Int, inner: Int, seconds: Double) -> Double {
    let x = Tensor(repeating: 0.5, [rows, inner])
    let weight = Tensor(repeating: 0.25, [columns, inner])
    let y = Tensor(uninitialized: [rows, columns])
    Matmul.forward(x, weight, into: y)
    var products = 0
    let start = monotonicSeconds()
    repeat {
      Matmul.forward(x, weight, into: y)
      products += 1
    } while monotonicSeconds() - start < seconds
    let elapsed = monotonicSeconds() - start
    return 2e-9 * Double(rows) * Double(columns) * Double(inner) * Double(products) / elapsed
  }
}
