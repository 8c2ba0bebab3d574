import Basics
import COpenBLAS

/// Matrix products of row-major tensors, each seen as [leading, last axis].
///
/// The native engine gives the same bits for every number of threads: rows are dealt to whoever is free. Calls of the
/// libraries run on one thread each, for a fixed part of the rows (of the columns when there are more of them), so
/// that the same team size gives the same bits.
public enum Matmul {
  /// y = x wᵀ, or y += x wᵀ.
  ///
  /// - Shapes: x [R, K], weight [N, K] -> y [R, N]
  public static func forward(_ x: Tensor, _ weight: Tensor, into y: Tensor, accumulate: Bool = false) {
    let (r, k, n) = (x.shape.leading, x.shape.lastAxis, weight.shape.leading)
    check("forward", x, weight, y, weight.shape.lastAxis == k && y.shape.leading == r && y.shape.lastAxis == n)
    PreparedWeight(.forward, weight).multiply(x.pointer, rows: r, into: y.pointer, accumulate: accumulate)
  }

  /// dx = dy w, or dx += dy w.
  ///
  /// - Shapes: dy [R, N], weight [N, K] -> dx [R, K]
  public static func dataGradient(_ dy: Tensor, _ weight: Tensor, into dx: Tensor, accumulate: Bool = false) {
    let (r, n, k) = (dy.shape.leading, dy.shape.lastAxis, weight.shape.lastAxis)
    check("dataGradient", dy, weight, dx, weight.shape.leading == n && dx.shape.leading == r && dx.shape.lastAxis == k)
    PreparedWeight(.dataGradient, weight).multiply(dy.pointer, rows: r, into: dx.pointer, accumulate: accumulate)
  }

  /// dw = dyᵀ x, or dw += dyᵀ x: the default, since weight gradients go straight into their arena.
  ///
  /// - Parameter engine: nil for that of the plan in use.
  /// - Shapes: dy [R, N], x [R, K] -> dw [N, K]
  public static func weightGradient(
    _ dy: Tensor, _ x: Tensor, into dw: Tensor, accumulate: Bool = true, engine: ProductEngine? = nil
  ) {
    let (r, n, k) = (dy.shape.leading, dy.shape.lastAxis, x.shape.lastAxis)
    check("weightGradient", dy, x, dw, x.shape.leading == r && dw.shape.leading == n && dw.shape.lastAxis == k)
    let engine = engine ?? ProductEngine.plan.engine(.weightGradient, n: n, k: k)
    if engine == .native {
      let schedule = SlabSchedule(
        dy.pointer, n, x.pointer, k, into: dw.pointer, stride: k, m: n, n: k, k: r, accumulate: accumulate,
        threads: Team.threads)
      return Team.run { schedule.work() }
    }
    func part(_ rows: Range<Int>, _ columns: Range<Int>) {
      multiply(
        dy.pointer + rows.lowerBound, n, transposeA: true, x.pointer + columns.lowerBound, k,
        dw.pointer + rows.lowerBound * k + columns.lowerBound, k,
        m: rows.count, n: columns.count, k: r, accumulate: accumulate, engine: engine)
    }
    if n >= k {
      Team.splitEvenly(n, grain: 16) { part($0, 0..<k) }
    } else {
      Team.splitEvenly(k, grain: 16) { part(0..<n, $0) }
    }
  }

  /// y = x wᵀ + bias.
  ///
  /// - Parameter engine: nil for that of the plan in use.
  /// - Shapes: x [R, K], weight [N, K], bias [N] -> y [R, N]
  package static func forward(
    _ x: Tensor, _ weight: Tensor, bias: Tensor, into y: Tensor, engine: ProductEngine? = nil
  ) {
    let (r, k, n) = (x.shape.leading, x.shape.lastAxis, weight.shape.leading)
    check("forward", x, weight, y, weight.shape.lastAxis == k && y.shape.leading == r && y.shape.lastAxis == n)
    precondition(bias.count == n, "Matmul.forward: bias \(bias.shape) for weight \(weight.shape)")
    let weight = PreparedWeight(.forward, weight, engine: engine)
    weight.overRows(r) { weight.multiply(x.pointer, rows: $0, into: y.pointer, bias: bias.pointer) }
  }

  /// y = x wᵀ added to rows of y that every thread prepares first.
  ///
  /// - Shapes: x [R, K], weight [N, K] -> y [R, N]
  package static func forward(
    _ x: Tensor, _ weight: Tensor, into y: Tensor, prepare: (Range<Int>) -> Void
  ) {
    let (r, k, n) = (x.shape.leading, x.shape.lastAxis, weight.shape.leading)
    check("forward", x, weight, y, weight.shape.lastAxis == k && y.shape.leading == r && y.shape.lastAxis == n)
    let weight = PreparedWeight(.forward, weight)
    weight.overRows(r) { rows in
      prepare(rows)
      weight.multiply(x.pointer, rows: rows, into: y.pointer, accumulate: true)
    }
  }

  /// One product on the calling thread: c [m, n] = op(a) op(b), or added to c, or to `bias` [n] in every row.
  package static func multiply(
    _ a: UnsafePointer<Float>, _ aStride: Int, transposeA: Bool = false, _ b: UnsafePointer<Float>, _ bStride: Int,
    transposeB: Bool = false, _ c: UnsafeMutablePointer<Float>, _ cStride: Int, m: Int, n: Int, k: Int,
    accumulate: Bool = false, bias: UnsafePointer<Float>? = nil, engine: ProductEngine
  ) {
    precondition(!accumulate || bias == nil, "Matmul.multiply: added to c or to a bias, not both")
    precondition(!transposeA || !transposeB && bias == nil, "Matmul.multiply: a transposed, as for weight gradients")
    let (left, right) = (
      PanelProduct.Operand(base: a, stride: aStride, isTransposed: transposeA),
      PanelProduct.Operand(base: b, stride: bStride, isTransposed: transposeB)
    )
    // The libraries add to what stands in c.
    if let bias, engine != .native {
      precondition(cStride == n, "Matmul.multiply: a bias under rows \(cStride) apart, \(n) wide")
      OpClock.measure(.elementwise) { Kernels.table.pointee.repeat_row(bias, c, m, n) }
    }
    let adds = accumulate || bias != nil
    switch engine {
    case .native where transposeA:
      SlabSchedule(
        a, aStride, b, bStride, into: c, stride: cStride, m: m, n: n, k: k, accumulate: accumulate, threads: 1
      ).work()
    case .native:
      let packed = PackedOperand(right, n: n, k: k)
      packed.pack(0..<packed.pieces)
      packed.multiply(left, rows: 0..<m, into: c, stride: cStride, accumulate: accumulate, row: bias)
    case .onednn:
      OneDNN.multiply(left, right, into: c, stride: cStride, m: m, n: n, k: k, accumulate: adds)
    case .openblas:
      keepLibraryOnOneThread()
      openblas_product(transposeA, transposeB, m, n, k, 1, a, aStride, b, bStride, adds ? 1 : 0, c, cStride)
    }
  }

  /// Name, version and core of the BLAS library.
  public static var libraryName: String { String(cString: openblas_description()) }

  /// Switches the library's own threads off, once, before any of its products: they would fight with the team's.
  static func keepLibraryOnOneThread() { openBLASUsesOneThread }

  private static let openBLASUsesOneThread: Void = openblas_use_one_thread()

  private static func check(_ op: String, _ a: Tensor, _ b: Tensor, _ c: Tensor, _ fits: Bool) {
    precondition(fits, "Matmul.\(op): \(a.shape) and \(b.shape) do not give \(c.shape)")
  }
}
