import Basics
import Tensors
import TestKit
import XCTest

final class MatmulTests: XCTestCase {
  override func tearDown() { ThreadTeam.configure(threads: 1) }

  private let sizes = [(1, 1, 1), (3, 5, 7), (17, 33, 16), (50, 48, 40), (4, 70, 130), (129, 31, 65)]

  func testAllOrientations() {
    for threads in 1...3 {
      ThreadTeam.configure(threads: threads)
      for (r, n, k) in sizes { check(r, n, k, threads) }
    }
  }

  private func check(_ r: Int, _ n: Int, _ k: Int, _ threads: Int) {
    let (x, w, dy) = (tensor([r, k], seed: 1), tensor([n, k], seed: 2), tensor([r, n], seed: 3))
    let what = "[\(r), \(n), \(k)] on \(threads) threads"
    let (xs, ws, dys) = (x.array, w.array, dy.array)
    let forward = reference(r, n, k) { xs[$0 * k + $2] * ws[$1 * k + $2] }
    let data = reference(r, k, n) { dys[$0 * n + $2] * ws[$2 * k + $1] }
    let weight = reference(n, k, r) { dys[$2 * n + $0] * xs[$2 * k + $1] }
    for accumulate in [false, true] {
      let offset: Float = accumulate ? 1 : 0
      let (y, dx, dw) = (Tensor(repeating: 1, [r, n]), Tensor(repeating: 1, [r, k]), Tensor(repeating: 1, [n, k]))
      Matmul.forward(x, w, into: y, accumulate: accumulate)
      Matmul.dataGradient(dy, w, into: dx, accumulate: accumulate)
      Matmul.weightGradient(dy, x, into: dw, accumulate: accumulate)
      expectClose(y.array, forward.map { $0 + offset }, relative: 1e-5, absolute: 1e-5, "forward \(what)")
      expectClose(dx.array, data.map { $0 + offset }, relative: 1e-5, absolute: 1e-5, "dataGradient \(what)")
      expectClose(dw.array, weight.map { $0 + offset }, relative: 1e-5, absolute: 1e-5, "weightGradient \(what)")
    }
  }

  private func reference(_ m: Int, _ n: Int, _ k: Int, _ term: (Int, Int, Int) -> Float) -> [Float] {
    (0..<m * n).map { i in Float((0..<k).reduce(0.0) { $0 + Double(term(i / n, i % n, $1)) }) }
  }

  /// Where oneDNN is not installed, asking for it must say so.
  func testOneDNNGivesTheSameProductsOrSaysThatItIsMissing() throws {
    do throws(Failure) {
      try ProductLibrary.use(.onednn)
    } catch {
      XCTAssertEqual(error.code, .unavailable)
      XCTAssertTrue(error.hint?.contains("runtime.gemm=openblas") ?? false)
      return XCTAssertEqual(ProductLibrary.chosen, .openblas)
    }
    XCTAssertEqual(ProductLibrary.chosen, .onednn)
    for threads in 1...2 {
      ThreadTeam.configure(threads: threads)
      for (r, n, k) in sizes + [(300, 96, 128)] { check(r, n, k, threads) }
    }
    try ProductLibrary.use(.openblas)
    XCTAssertEqual(ProductLibrary.chosen, .openblas)
  }

  func testPreparedRowsAreAddedToAndFinished() {
    for threads in 1...3 {
      ThreadTeam.configure(threads: threads)
      let (x, w) = (tensor([20, 8], seed: 4), tensor([12, 8], seed: 5))
      let (plain, y) = (Tensor(uninitialized: [20, 12]), Tensor(uninitialized: [20, 12]))
      Matmul.forward(x, w, into: plain)
      Matmul.forward(
        x, w, into: y, prepare: { y.rows($0).fill(2) },
        finish: { Kernels.scale(y.rows($0), by: 3, into: y.rows($0)) })
      expectClose(y.array, plain.array.map { 3 * ($0 + 2) }, relative: 1e-5, absolute: 1e-5)
    }
  }

  func testSameBitsEveryTime() {
    ThreadTeam.configure(threads: 2)
    let (x, w) = (tensor([129, 65], seed: 6), tensor([70, 65], seed: 7))
    let (first, second) = (Tensor(uninitialized: [129, 70]), Tensor(uninitialized: [129, 70]))
    Matmul.forward(x, w, into: first)
    Matmul.forward(x, w, into: second)
    XCTAssertEqual(first.array, second.array)
  }

  func testBenchmarksMeasure() {
    XCTAssertGreaterThan(GEMMBenchmark.gigaflops(rows: 32, columns: 32, inner: 32, seconds: 0), 0)
    let results = KernelBenchmark.measure(rows: 20, width: 48, seconds: 0)
    XCTAssertEqual(Set(results.map(\.name)).count, results.count)
    XCTAssertTrue(results.allSatisfy { $0.gigabytesPerSecond > 0 && $0.triad > 0 })
  }
}
