// BatchNorm: statistics of columns over rows. These loops are short beside the products around them, and in Swift.
extension Kernels {
  /// Columns that pass down all rows together: their sums in double stay in the nearest cache.
  private static let columnBlock = 256

  /// Sums of a column go down the rows in order, whatever the number of threads.
  private static func overColumns(_ width: Int, _ body: (Range<Int>) -> Void) {
    Team.split((width + columnBlock - 1) / columnBlock) { blocks in
      for block in blocks { body(block * columnBlock..<min((block + 1) * columnBlock, width)) }
    }
  }

  /// Adds the sums of every column and of its squares, in double.
  ///
  /// - Shapes: x [R, C]; sums, squares [C]
  package static func addColumnMoments(
    of x: Tensor, to sums: UnsafeMutablePointer<Double>, squares: UnsafeMutablePointer<Double>
  ) {
    let (rows, width, base) = (x.shape.leading, x.shape.lastAxis, x.pointer)
    overColumns(width) { columns in
      for row in 0..<rows {
        let x = base + row * width
        for c in columns {
          let value = Double(x[c])
          sums[c] += value
          squares[c] += value * value
        }
      }
    }
  }

  /// y = (x - mean) * rstd * weight + bias, column by column; `floor` where that is less.
  ///
  /// - Shapes: x, y [R, C]; mean, rstd, weight, bias [C]
  package static func batchNorm(
    _ x: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor, bias: Tensor, floor: Float, into y: Tensor
  ) {
    let width = x.shape.lastAxis
    precondition(
      y.count == x.count && [mean, rstd, weight, bias].allSatisfy { $0.count == width },
      "batchNorm: x \(x.shape), weight \(weight.shape), y \(y.shape)")
    let (from, to) = (x.pointer, y.pointer)
    let (mean, rstd, weight, bias) = (mean.pointer, rstd.pointer, weight.pointer, bias.pointer)
    Team.split(x.shape.leading) { rows in
      for row in rows {
        let (x, y) = (from + row * width, to + row * width)
        for c in 0..<width {
          let value = (x[c] - mean[c]) * (rstd[c] * weight[c]) + bias[c]
          y[c] = value < floor ? floor : value
        }
      }
    }
  }

  /// dx = dy where y is positive, 0 elsewhere: the gradient through ReLU, from its result.
  package static func rectifierBackward(_ dy: Tensor, y: Tensor, into dx: Tensor) {
    precondition(dy.count == y.count && dx.count == y.count, "rectifierBackward: dy \(dy.shape) for \(y.shape)")
    let (gradient, output, result) = (dy.pointer, y.pointer, dx.pointer)
    Team.split(dy.count, grain: grain) { range in
      for i in range {
        // Both are read whatever the sign, so that no branch is guessed wrong half the time.
        let (dy, y) = (gradient[i], output[i])
        result[i] = y > 0 ? dy : 0
      }
    }
  }

  /// Adds the sums of dy and of dy * (x - mean) * rstd over the rows of every column, in double.
  ///
  /// - Shapes: dy, x [R, C]; mean, rstd, sums, products [C]
  package static func addBatchNormSums(
    _ dy: Tensor, x: Tensor, mean: Tensor, rstd: Tensor, to sums: UnsafeMutablePointer<Double>,
    products: UnsafeMutablePointer<Double>
  ) {
    let (rows, width) = (x.shape.leading, x.shape.lastAxis)
    precondition(dy.count == x.count, "addBatchNormSums: dy \(dy.shape) for \(x.shape)")
    let (gradient, input, mean, rstd) = (dy.pointer, x.pointer, mean.pointer, rstd.pointer)
    overColumns(width) { columns in
      for row in 0..<rows {
        let (dy, x) = (gradient + row * width, input + row * width)
        for c in columns {
          sums[c] += Double(dy[c])
          products[c] += Double(dy[c]) * Double((x[c] - mean[c]) * rstd[c])
        }
      }
    }
  }

  /// dx = rstd * weight * (dy - meanGradient - (x - mean) * rstd * meanProduct); dx may be dy.
  ///
  /// - Shapes: dy, x, dx [R, C]; mean, rstd, weight, meanGradient, meanProduct [C]
  package static func batchNormBackward(
    _ dy: Tensor, x: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor, meanGradient: Tensor, meanProduct: Tensor,
    into dx: Tensor
  ) {
    let width = x.shape.lastAxis
    precondition(dy.count == x.count && dx.count == x.count, "batchNormBackward: dy \(dy.shape) for \(x.shape)")
    let (gradient, input, result) = (dy.pointer, x.pointer, dx.pointer)
    let (mean, rstd, weight) = (mean.pointer, rstd.pointer, weight.pointer)
    let (meanGradient, meanProduct) = (meanGradient.pointer, meanProduct.pointer)
    Team.split(x.shape.leading) { rows in
      for row in rows {
        let (dy, x, dx) = (gradient + row * width, input + row * width, result + row * width)
        for c in 0..<width {
          let normed = (x[c] - mean[c]) * rstd[c]
          dx[c] = rstd[c] * weight[c] * (dy[c] - meanGradient[c] - normed * meanProduct[c])
        }
      }
    }
  }
}
