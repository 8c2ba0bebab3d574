import Basics
import COpenBLAS

/// Matrix products of row-major tensors, each seen as [leading, last axis].
///
/// Each call of an engine runs on one thread; the rows of the result are split over the thread team (its columns when
/// there are more of them than rows), so the same team size gives the same bits.
public enum Matmul {
  /// y = x wᵀ, or y += x wᵀ.
  ///
  /// - Shapes: x [R, K], weight [N, K] -> y [R, N]
  public static func forward(_ x: Tensor, _ weight: Tensor, into y: Tensor, accumulate: Bool = false) {
    let (r, k, n) = (x.shape.leading, x.shape.lastAxis, weight.shape.leading)
    check("forward", x, weight, y, weight.shape.lastAxis == k && y.shape.leading == r && y.shape.lastAxis == n)
    let engine = engine(.forward, n: n, k: k)
    split(rows: r, columns: n) { rows, columns in
      multiply(
        x.pointer + rows.lowerBound * k, k, weight.pointer + columns.lowerBound * k, k, transposeB: true,
        y.pointer + rows.lowerBound * n + columns.lowerBound, n,
        m: rows.count, n: columns.count, k: k, accumulate: accumulate, engine: engine)
    }
  }

  /// dx = dy w, or dx += dy w.
  ///
  /// - Shapes: dy [R, N], weight [N, K] -> dx [R, K]
  public static func dataGradient(_ dy: Tensor, _ weight: Tensor, into dx: Tensor, accumulate: Bool = false) {
    let (r, n, k) = (dy.shape.leading, dy.shape.lastAxis, weight.shape.lastAxis)
    check("dataGradient", dy, weight, dx, weight.shape.leading == n && dx.shape.leading == r && dx.shape.lastAxis == k)
    let engine = engine(.dataGradient, n: n, k: k)
    split(rows: r, columns: k) { rows, columns in
      multiply(
        dy.pointer + rows.lowerBound * n, n, weight.pointer + columns.lowerBound, k,
        dx.pointer + rows.lowerBound * k + columns.lowerBound, k,
        m: rows.count, n: columns.count, k: n, accumulate: accumulate, engine: engine)
    }
  }

  /// dw = dyᵀ x, or dw += dyᵀ x: the default, since weight gradients go straight into their arena.
  ///
  /// - Shapes: dy [R, N], x [R, K] -> dw [N, K]
  public static func weightGradient(_ dy: Tensor, _ x: Tensor, into dw: Tensor, accumulate: Bool = true) {
    let (r, n, k) = (dy.shape.leading, dy.shape.lastAxis, x.shape.lastAxis)
    check("weightGradient", dy, x, dw, x.shape.leading == r && dw.shape.leading == n && dw.shape.lastAxis == k)
    let engine = engine(.weightGradient, n: n, k: k)
    split(rows: n, columns: k) { rows, columns in
      multiply(
        dy.pointer + rows.lowerBound, n, transposeA: true, x.pointer + columns.lowerBound, k,
        dw.pointer + rows.lowerBound * k + columns.lowerBound, k,
        m: rows.count, n: columns.count, k: r, accumulate: accumulate, engine: engine)
    }
  }

  /// y = x wᵀ + bias, whose rows every thread then finishes while they are warm.
  ///
  /// - Shapes: x [R, K], weight [N, K], bias [N] -> y [R, N]
  package static func forward(
    _ x: Tensor, _ weight: Tensor, bias: Tensor, into y: Tensor, finish: (Range<Int>) -> Void = { _ in }
  ) {
    let (r, k, n) = (x.shape.leading, x.shape.lastAxis, weight.shape.leading)
    check("forward", x, weight, y, weight.shape.lastAxis == k && y.shape.leading == r && y.shape.lastAxis == n)
    precondition(bias.count == n, "Matmul.forward: bias \(bias.shape) for weight \(weight.shape)")
    let engine = engine(.forward, n: n, k: k)
    Team.split(r) { _, rows in
      multiply(
        x.pointer + rows.lowerBound * k, k, weight.pointer, k, transposeB: true, y.pointer + rows.lowerBound * n, n,
        m: rows.count, n: n, k: k, bias: bias.pointer, engine: engine)
      finish(rows)
    }
  }

  /// y = x wᵀ added to rows of y that every thread prepares first.
  ///
  /// - Shapes: x [R, K], weight [N, K] -> y [R, N]
  package static func forward(
    _ x: Tensor, _ weight: Tensor, into y: Tensor, prepare: (Range<Int>) -> Void
  ) {
    let (r, k, n) = (x.shape.leading, x.shape.lastAxis, weight.shape.leading)
    check("forward", x, weight, y, weight.shape.lastAxis == k && y.shape.leading == r && y.shape.lastAxis == n)
    let engine = engine(.forward, n: n, k: k)
    Team.split(r) { _, rows in
      prepare(rows)
      multiply(
        x.pointer + rows.lowerBound * k, k, weight.pointer, k, transposeB: true, y.pointer + rows.lowerBound * n, n,
        m: rows.count, n: n, k: k, accumulate: true, engine: engine)
    }
  }

  /// One product on the calling thread: c [m, n] = op(a) op(b), or added to c, or to `bias` [n] in every row. Every
  /// large product of the program comes through here.
  package static func multiply(
    _ a: UnsafePointer<Float>, _ aStride: Int, transposeA: Bool = false, _ b: UnsafePointer<Float>, _ bStride: Int,
    transposeB: Bool = false, _ c: UnsafeMutablePointer<Float>, _ cStride: Int, m: Int, n: Int, k: Int,
    accumulate: Bool = false, bias: UnsafePointer<Float>? = nil, engine: ProductEngine
  ) {
    precondition(!accumulate || bias == nil, "Matmul.multiply: added to c or to a bias, not both")
    let (left, right) = (
      PanelProduct.Operand(base: a, stride: aStride, isTransposed: transposeA),
      PanelProduct.Operand(base: b, stride: bStride, isTransposed: transposeB)
    )
    // The libraries add to what stands in c.
    if let bias, engine != .native {
      OpClock.measure(.elementwise) {
        for row in 0..<m { (c + row * cStride).update(from: bias, count: n) }
      }
    }
    let adds = accumulate || bias != nil
    switch engine {
    case .native:
      PanelProduct.multiply(left, right, into: c, stride: cStride, m: m, n: n, k: k, accumulate: accumulate, row: bias)
    case .onednn:
      OneDNN.multiply(left, right, into: c, stride: cStride, m: m, n: n, k: k, accumulate: adds)
    case .openblas:
      _ = openBLASUsesOneThread
      openblas_product(transposeA, transposeB, m, n, k, 1, a, aStride, b, bStride, adds ? 1 : 0, c, cStride)
    }
  }

  /// The engine of one product of a weight [n, k].
  package static func engine(_ product: LinearProduct, n: Int, k: Int) -> ProductEngine {
    ProductEngine.plan.engine(product, n: n, k: k)
  }

  /// Name, version and core of the BLAS library.
  public static var libraryName: String { String(cString: openblas_description()) }

  private static let openBLASUsesOneThread: Void = openblas_use_one_thread()

  private static func split(rows: Int, columns: Int, _ body: (_ rows: Range<Int>, _ columns: Range<Int>) -> Void) {
    if rows >= columns {
      Team.split(rows, grain: 16) { _, range in body(range, 0..<columns) }
    } else {
      Team.split(columns, grain: 16) { _, range in body(0..<rows, range) }
    }
  }

  private static func check(_ op: String, _ a: Tensor, _ b: Tensor, _ c: Tensor, _ fits: Bool) {
    precondition(fits, "Matmul.\(op): \(a.shape) and \(b.shape) do not give \(c.shape)")
  }
}
