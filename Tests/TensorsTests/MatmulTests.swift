import Basics
@testable import Tensors
import TestKit
import XCTest

final class MatmulTests: XCTestCase {
  override func tearDown() { ThreadTeam.configure(threads: 1) }

  private let sizes = [(1, 1, 1), (3, 5, 7), (17, 33, 16), (50, 48, 40), (4, 70, 130), (129, 31, 65)]

  override func setUp() { addTeardownBlock { try ProductEngine.use(ProductPlan(.standard(for: .chosen))) } }

  func testEveryEngineInAllOrientations() throws {
    for engine in [ProductEngine.native, .openblas] {
      try ProductEngine.use(engine)
      onEverySet { set in
        for threads in 1...3 {
          ThreadTeam.configure(threads: threads)
          for (r, n, k) in sizes { check(r, n, k, "\(engine) \(set), \(threads) threads") }
        }
      }
    }
  }

  private func check(_ r: Int, _ n: Int, _ k: Int, _ how: String) {
    let (x, w, dy) = (tensor([r, k], seed: 1), tensor([n, k], seed: 2), tensor([r, n], seed: 3))
    let what = "[\(r), \(n), \(k)] \(how)"
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
      expectClose(y.array, forward.map { $0 + offset }, relative: 1e-5, absolute: rounding(k), "forward \(what)")
      expectClose(dx.array, data.map { $0 + offset }, relative: 1e-5, absolute: rounding(n), "dataGradient \(what)")
      expectClose(dw.array, weight.map { $0 + offset }, relative: 1e-5, absolute: rounding(r), "weightGradient \(what)")
    }
  }

  /// What sums of `terms` products of size 1 may lose, and at least 1e-5: rounding errors add up like a random walk.
  private func rounding(_ terms: Int) -> Double { 1e-6 * max(10, Double(terms).squareRoot()) }

  private func reference(_ m: Int, _ n: Int, _ k: Int, _ term: (Int, Int, Int) -> Float) -> [Float] {
    (0..<m * n).map { i in Float((0..<k).reduce(0.0) { $0 + Double(term(i / n, i % n, $1)) }) }
  }

  /// Where oneDNN is not installed, asking for it must say so.
  func testOneDNNGivesTheSameProductsOrSaysThatItIsMissing() throws {
    do throws(Failure) {
      try ProductEngine.use(.onednn)
    } catch {
      XCTAssertEqual(error.code, .unavailable)
      XCTAssertTrue(error.hint?.contains("runtime.gemm=openblas") ?? false)
      return XCTAssertEqual(ProductEngine.plan.standard, .standard(for: .chosen))
    }
    XCTAssertEqual(ProductEngine.plan.standard, .onednn)
    for threads in 1...2 {
      ThreadTeam.configure(threads: threads)
      for (r, n, k) in sizes + [(300, 96, 128)] { check(r, n, k, "onednn, \(threads) threads") }
    }
  }

  /// More than one slab in each direction, edges in all of them.
  func testNativeProductOfSeveralSlabs() throws {
    try ProductEngine.use(.native)
    onEverySet { set in
      for (r, n, k) in [(13, 1201, 389), (101, 50, 1000), (389, 1201, 13)] { check(r, n, k, "native \(set)") }
    }
  }

  /// One, two and many slabs a step, the left operand packed for all threads and the right one.
  func testSlabScheduleHasTheSameBitsForEverySlab() {
    onEverySet { set in
      for (m, n) in [(70, 130), (130, 70), (64, 192), (200, 200)] {
        let k = 801
        let (a, b) = (tensor([k, m], seed: 6), tensor([k, n], seed: 7))
        let (x, y) = (a.array, b.array)
        let expected = reference(m, n, k) { x[$2 * m + $0] * y[$2 * n + $1] }
        var first: [Float]?
        for (slabFloats, threads) in [
          (1 << 20, 1), (1 << 20, 3), (1 << 14, 1), (1 << 14, 2), (1 << 10, 1), (1 << 10, 4),
        ] {
          ThreadTeam.configure(threads: threads)
          let c = Tensor(uninitialized: [m, n])
          let schedule = SlabSchedule(
            a.pointer, m, b.pointer, n, into: c.pointer, stride: n, m: m, n: n, k: k, accumulate: false,
            threads: threads, slabFloats: slabFloats)
          Team.run { schedule.work() }
          let how = "[\(m), \(n)] \(set), slabs of \(slabFloats), \(threads) threads"
          XCTAssertTrue(c.array == first ?? c.array, how)
          first = c.array
          expectClose(c.array, expected, relative: 1e-5, absolute: rounding(k), how)
        }
      }
    }
  }

  /// Sizes with few rows, few columns and many of both; several slabs in both directions, edges in all of them.
  func testNativeProductsHaveTheSameBitsForEveryNumberOfThreads() throws {
    try ProductEngine.use(.native)
    for (r, n, k) in [(5, 130, 900), (770, 130, 500), (401, 700, 20)] {
      let (x, w, dy) = (tensor([r, k], seed: 6), tensor([n, k], seed: 7), tensor([r, n], seed: 8))
      func products(threads: Int) -> [[Float]] {
        ThreadTeam.configure(threads: threads)
        let (y, dx, dw) = (Tensor(zeros: [r, n]), Tensor(zeros: [r, k]), Tensor(repeating: 1, [n, k]))
        Matmul.forward(x, w, into: y)
        Matmul.dataGradient(dy, w, into: dx)
        Matmul.weightGradient(dy, x, into: dw)
        return [y.array, dx.array, dw.array]
      }
      let one = products(threads: 1)
      // More threads than cores, so that some stand still in the middle of a slab while others go on.
      for threads in [2, 3, 4, 9] {
        for _ in 0..<8 { XCTAssertEqual(products(threads: threads), one, "[\(r), \(n), \(k)], \(threads) threads") }
      }
    }
  }

  func testNativeProductHasTheSameBitsForEveryCutOfRowsAndEverySet() throws {
    try ProductEngine.use(.native)
    let (x, w) = (tensor([77, 500], seed: 6), tensor([130, 500], seed: 7))
    let whole = Tensor(uninitialized: [77, 130])
    Matmul.forward(x, w, into: whole)
    let part = Tensor(uninitialized: [19, 130])
    Matmul.forward(x.rows(30..<49), w, into: part)
    XCTAssertEqual(part.array, whole.rows(30..<49).array)
    // Both sets multiply and add in one rounding.
    let sets = InstructionSet.available.filter { $0 != .baseline }
    onEverySet { set in
      guard sets.contains(set) else { return }
      let y = Tensor(uninitialized: [77, 130])
      Matmul.forward(x, w, into: y)
      XCTAssertEqual(y.array, whole.array, "\(set)")
    }
  }

  func testPlansChooseByProductAndShape() throws {
    let plan = ProductPlan(.openblas, chosen: [.init(.weightGradient, n: 3, k: 5): .native])
    XCTAssertEqual(plan.engine(.weightGradient, n: 3, k: 5), .native)
    XCTAssertEqual(plan.engine(.weightGradient, n: 5, k: 3), .openblas)
    XCTAssertEqual(plan.engine(.forward, n: 3, k: 5), .openblas)
    let measured = ProductTuning.measure(weights: [(20, 12), (8, 4)], rows: 9, rounds: 1)
    XCTAssertEqual(measured.count, 6)
    for result in measured {
      XCTAssertEqual(Set(result.rates.map(\.engine)), Set(ProductEngine.allCases.filter(\.isInstalled)))
      XCTAssertTrue(result.rates.allSatisfy { $0.gigaflops > 0 })
    }
  }

  func testPreparedRowsAreAddedToAndRowsBiased() throws {
    for engine in [ProductEngine.native, .openblas] {
      try ProductEngine.use(engine)
      for threads in 1...3 {
        ThreadTeam.configure(threads: threads)
        // More columns and products than a slab has, rows a page apart.
        let (x, w, bias) = (tensor([20, 1024], seed: 4), tensor([700, 1024], seed: 5), tensor([700], seed: 6))
        let (plain, y) = (Tensor(uninitialized: [20, 700]), Tensor(uninitialized: [20, 700]))
        Matmul.forward(x, w, into: plain)
        Matmul.forward(x, w, into: y, prepare: { y.rows($0).fill(2) })
        expectClose(y.array, plain.array.map { $0 + 2 }, relative: 1e-5, absolute: 1e-5, "\(engine)")
        Matmul.forward(x, w, bias: bias, into: y)
        let row = bias.array
        let expected = plain.array.enumerated().map { $1 + row[$0 % 700] }
        expectClose(y.array, expected, relative: 1e-5, absolute: rounding(1024), "\(engine)")
      }
    }
  }

  func testANamedEngineIsUsedWhateverThePlan() throws {
    // Sums that are longer than a slab, which the engines cut in different places.
    let (x, w, dy) = (tensor([900, 900], seed: 8), tensor([20, 900], seed: 9), tensor([900, 20], seed: 10))
    func results(_ engine: ProductEngine?) -> [[Float]] {
      let (y, dw) = (Tensor(uninitialized: [900, 20]), Tensor(uninitialized: [20, 900]))
      Matmul.forward(x, w, bias: Tensor(zeros: [20]), into: y, engine: engine)
      Matmul.weightGradient(dy, x, into: dw, accumulate: false, engine: engine)
      return [y.array, dw.array]
    }
    try ProductEngine.use(.native)
    let native = results(nil)
    try ProductEngine.use(.openblas)
    XCTAssertTrue(results(.native) == native)
    for (own, other) in zip(results(nil), native) { XCTAssertFalse(own == other) }
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
