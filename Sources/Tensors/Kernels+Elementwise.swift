// Elementwise kernels over tensors of equal count; results go into tensors that the caller made.
extension Kernels {
  /// y = a + b.
  package static func add(_ a: Tensor, _ b: Tensor, into y: Tensor) {
    precondition(a.count == b.count && a.count == y.count, "add: \(a.shape) + \(b.shape) into \(y.shape)")
    Team.split(y.count, grain: grain) { range in
      let i = range.lowerBound
      table.pointee.sum_of(a.pointer + i, b.pointer + i, y.pointer + i, range.count)
    }
  }

  /// y = (a + b) + row, the row added to every row.
  ///
  /// - Shapes: a, b, y [R, D]; row [D]
  package static func add(_ a: Tensor, _ b: Tensor, row: Tensor, into y: Tensor) {
    let width = y.shape.lastAxis
    precondition(
      a.count == b.count && a.count == y.count && row.count == width, "add: \(a.shape) + \(b.shape) + \(row.shape)")
    Team.split(y.shape.leading) { range in
      for i in stride(from: range.lowerBound * width, to: range.upperBound * width, by: width) {
        table.pointee.sum_of(a.pointer + i, b.pointer + i, y.pointer + i, width)
        table.pointee.add(y.pointer + i, row.pointer, width)
      }
    }
  }

  /// y = factor * x; y may be x.
  package static func scale(_ x: Tensor, by factor: Float, into y: Tensor) {
    precondition(x.count == y.count, "scale: \(x.shape) into \(y.shape)")
    Team.split(y.count, grain: grain) { range in
      table.pointee.scaled(x.pointer + range.lowerBound, factor, y.pointer + range.lowerBound, range.count)
    }
  }

  /// y = GELU(x) with the exact erf, over some rows on the calling thread.
  ///
  /// - Shapes: x, y [R, D]
  package static func gelu(_ x: Tensor, into y: Tensor, rows: Range<Int>) {
    precondition(x.count == y.count, "gelu: \(x.shape) into \(y.shape)")
    let width = x.shape.lastAxis
    let start = rows.lowerBound * width
    table.pointee.gelu(x.pointer + start, y.pointer + start, rows.count * width)
  }

  /// Overwrites dy by dx = dy * GELU'(x) and x by GELU(x), and adds the column sums of dx to `biasGradient`, in one
  /// pass.
  ///
  /// - Shapes: dy, x [R, D]; biasGradient [D]
  package static func geluBackward(overwriting dy: Tensor, _ x: Tensor, biasGradient: Tensor?) {
    let width = x.shape.lastAxis
    precondition(dy.count == x.count, "geluBackward: \(dy.shape) for \(x.shape)")
    let bias = biasGradient ?? Tensor(uninitialized: [width])
    precondition(bias.count == width, "geluBackward: bias \(bias.shape) for \(x.shape)")
    Team.splitSumming(x.shape.leading, into: [bias]) { rows, sums in
      let start = rows.lowerBound * width
      table.pointee.gelu_backward(dy.pointer + start, x.pointer + start, sums[0], rows.count, width)
    }
  }

  /// Adds the column sums of x to `total`.
  ///
  /// - Shapes: x [R, D], total [D]
  package static func addColumnSums(of x: Tensor, to total: Tensor) {
    let width = x.shape.lastAxis
    precondition(total.count == width, "addColumnSums: \(x.shape) to \(total.shape)")
    Team.splitSumming(x.shape.leading, into: [total]) { rows, sums in
      table.pointee.column_sum(x.pointer + rows.lowerBound * width, width, sums[0], rows.count, width)
    }
  }

  /// Adds the column sums of some rows to `total` [D], on the calling thread.
  package static func addColumnSums(
    of x: UnsafePointer<Float>, rows: Int, width: Int, to total: UnsafeMutablePointer<Float>
  ) {
    table.pointee.column_sum(x, width, total, rows, width)
  }
}
