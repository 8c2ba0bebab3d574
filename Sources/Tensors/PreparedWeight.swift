import Basics
import COpenBLAS

/// A weight as the right operand of products, made ready by the team for products on single threads.
package struct PreparedWeight {
  private let operand: PanelProduct.Operand
  private let n, k: Int
  private let engine: ProductEngine
  private let packed: PackedOperand?

  /// Of y = x wᵀ, or of dx = dy w.
  ///
  /// - Parameter engine: nil for that of the plan in use; `.native` where bits may depend on the two rows alone.
  /// - Shapes: weight [N, K]
  package init(_ product: LinearProduct, _ weight: Tensor, engine wanted: ProductEngine? = nil) {
    let (rows, columns) = (weight.shape.leading, weight.shape.lastAxis)
    precondition(product != .weightGradient, "PreparedWeight: the weight is no operand of its gradient")
    let isTransposed = product == .forward
    (n, k) = isTransposed ? (rows, columns) : (columns, rows)
    operand = .init(base: weight.pointer, stride: columns, isTransposed: isTransposed)
    engine = wanted ?? ProductEngine.plan.engine(product, n: rows, k: columns)
    packed = engine == .native ? PackedOperand(operand, n: n, k: k) : nil
    if let packed { Team.split(packed.pieces) { packed.pack($0) } }
  }

  /// Rows of y = x b, or y += x b, or y = x b + bias, on the calling thread.
  ///
  /// - Shapes: x [R, k], bias [n] -> y [R, n]; `rows` in 0 ..< R
  package func multiply(
    _ x: UnsafePointer<Float>, rows: Range<Int>, into y: UnsafeMutablePointer<Float>, bias: UnsafePointer<Float>? = nil,
    accumulate: Bool = false
  ) {
    precondition(!accumulate || bias == nil, "PreparedWeight.multiply: added to y or to a bias, not both")
    if let packed {
      let a = PanelProduct.Operand(base: x, stride: k, isTransposed: false)
      packed.multiply(a, rows: rows, into: y, stride: n, accumulate: accumulate, row: bias)
      return
    }
    Matmul.multiply(
      x + rows.lowerBound * k, k, operand.base, operand.stride, transposeB: operand.isTransposed,
      y + rows.lowerBound * n, n, m: rows.count, n: n, k: k, accumulate: accumulate, bias: bias, engine: engine)
  }

  /// The same for all rows, by the team.
  package func multiply(
    _ x: UnsafePointer<Float>, rows: Int, into y: UnsafeMutablePointer<Float>, accumulate: Bool = false
  ) {
    if let packed {
      let a = PanelProduct.Operand(base: x, stride: k, isTransposed: false)
      if rows >= n {
        Team.split(rows, grain: Self.grain(rows)) {
          packed.multiply(a, rows: $0, into: y, stride: n, accumulate: accumulate)
        }
      } else {
        Team.split(packed.panels) {
          packed.multiply(a, rows: 0..<rows, panels: $0, into: y, stride: n, accumulate: accumulate)
        }
      }
    } else if rows >= n {
      Team.splitEvenly(rows, grain: 16) { multiply(x, rows: $0, into: y, accumulate: accumulate) }
    } else {
      Team.splitEvenly(n, grain: 16) { columns in
        Matmul.multiply(
          x, k, operand.at(0, columns.lowerBound), operand.stride, transposeB: operand.isTransposed,
          y + columns.lowerBound, n, m: rows, n: columns.count, k: k, accumulate: accumulate, engine: engine)
      }
    }
  }

  /// Rows by the team, with something to do to them before and after.
  package func overRows(_ rows: Int, _ body: (Range<Int>) -> Void) {
    if packed != nil {
      Team.split(rows, grain: Self.grain(rows), body)
    } else {
      Team.splitEvenly(rows, body)
    }
  }

  /// The fewest rows that a thread takes: enough that fetching the panels once more does not show.
  private static func grain(_ rows: Int) -> Int {
    min(max(rows / (8 * Team.threads) / 16, 1), 6) * 16
  }
}
