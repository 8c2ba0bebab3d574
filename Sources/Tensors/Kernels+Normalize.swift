// Normalisations over the last axis, statistics saved for backward.
extension Kernels {
  /// sum = x + branch + branchBias and y = LN(sum) * weight + bias in one pass; without branch and branchBias,
  /// `sum` is not written.
  ///
  /// - Shapes: x, branch, sum, y [R, D]; branchBias, weight, bias [D]; mean, rstd [R]
  package static func layerNorm(
    _ x: Tensor, branch: Tensor?, branchBias: Tensor?, weight: Tensor, bias: Tensor, eps: Float, sum: Tensor,
    into y: Tensor, mean: Tensor, rstd: Tensor
  ) {
    let (rows, width) = (x.shape.leading, x.shape.lastAxis)
    precondition(
      (branch?.count ?? x.count) == x.count && (branchBias?.count ?? width) == width && weight.count == width
        && bias.count == width && sum.count == x.count && y.count == x.count && mean.count == rows
        && rstd.count == rows,
      "layerNorm: x \(x.shape), branch \(branch?.shape ?? []), weight \(weight.shape), y \(y.shape)")
    Team.split(rows) { range in
      let (r, i) = (range.lowerBound, range.lowerBound * width)
      table.pointee.layernorm(
        x.pointer + i, branch.map { UnsafePointer($0.pointer + i) }, branchBias.map { UnsafePointer($0.pointer) },
        weight.pointer, bias.pointer, eps, sum.pointer + i, y.pointer + i, mean.pointer + r, rstd.pointer + r,
        range.count, width)
    }
  }

  /// y = LN(sum) * weight + bias once more, from the statistics that `layerNorm` left: the same bits.
  ///
  /// - Shapes: sum, y [R, D]; mean, rstd [R]; weight, bias [D]
  package static func layerNormAgain(
    _ sum: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor, bias: Tensor, into y: Tensor
  ) {
    let (rows, width) = (sum.shape.leading, sum.shape.lastAxis)
    precondition(
      y.count == sum.count && mean.count == rows && rstd.count == rows && weight.count == width
        && bias.count == width, "layerNormAgain: sum \(sum.shape), weight \(weight.shape), y \(y.shape)")
    Team.split(rows) { range in
      let (r, i) = (range.lowerBound, range.lowerBound * width)
      table.pointee.layernorm_again(
        sum.pointer + i, mean.pointer + r, rstd.pointer + r, weight.pointer, bias.pointer, y.pointer + i,
        range.count, width)
    }
  }

  /// dx = dsum + the gradient through LayerNorm; column sums go to the gradients of weight, bias and branch bias.
  ///
  /// - Shapes: dy, dsum, sum, dx [R, D]; mean, rstd [R]; weight and the three gradients [D]
  package static func layerNormBackward(
    _ dy: Tensor, dsum: Tensor?, sum: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor, into dx: Tensor,
    weightGradient: Tensor?, biasGradient: Tensor?, branchBiasGradient: Tensor?
  ) {
    let (rows, width) = (sum.shape.leading, sum.shape.lastAxis)
    precondition(
      dy.count == sum.count && (dsum?.count ?? sum.count) == sum.count && dx.count == sum.count,
      "layerNormBackward: dy \(dy.shape), sum \(sum.shape), dx \(dx.shape)")
    let unused = Tensor(uninitialized: [width])
    var totals = [weightGradient ?? unused, biasGradient ?? unused]
    if let branchBiasGradient { totals.append(branchBiasGradient) }
    Team.splitSumming(rows, into: totals) { range, sums in
      let (r, i) = (range.lowerBound, range.lowerBound * width)
      table.pointee.layernorm_backward(
        dy.pointer + i, dsum.map { UnsafePointer($0.pointer + i) }, sum.pointer + i, mean.pointer + r,
        rstd.pointer + r, weight.pointer, dx.pointer + i, sums[0], sums[1], sums.count > 2 ? sums[2] : nil,
        range.count, width)
    }
  }

  /// y = (x - mean) / sqrt(unbiased variance + eps), row by row: the pixel targets of MAE.
  ///
  /// - Shapes: x, y [R, D], D > 1; y may be x.
  package static func normalizeRows(_ x: Tensor, eps: Float, into y: Tensor) {
    let width = x.shape.lastAxis
    precondition(x.count == y.count && width > 1, "normalizeRows: \(x.shape) into \(y.shape)")
    Team.split(x.shape.leading) { range in
      let i = range.lowerBound * width
      table.pointee.normalize_rows(x.pointer + i, y.pointer + i, eps, range.count, width)
    }
  }

  /// y = x / max(|x|, floor), row by row; `inverse` gets the factors.
  ///
  /// - Shapes: x, y [R, D]; inverse [R]
  package static func l2Normalize(_ x: Tensor, floor: Float, into y: Tensor, inverse: Tensor) {
    let width = x.shape.lastAxis
    precondition(
      x.count == y.count && inverse.count == x.shape.leading, "l2Normalize: \(x.shape) into \(y.shape)")
    Team.split(x.shape.leading) { range in
      let i = range.lowerBound * width
      table.pointee.l2_normalize(
        x.pointer + i, y.pointer + i, inverse.pointer + range.lowerBound, floor, range.count, width)
    }
  }

  /// dx = (dy - y <y, dy>) * inverse.
  ///
  /// - Shapes: dy, y, dx [R, D]; inverse [R]
  package static func l2NormalizeBackward(_ dy: Tensor, y: Tensor, inverse: Tensor, floor: Float, into dx: Tensor) {
    let width = y.shape.lastAxis
    precondition(dy.count == y.count && dx.count == y.count, "l2NormalizeBackward: \(dy.shape) for \(y.shape)")
    Team.split(y.shape.leading) { range in
      let i = range.lowerBound * width
      table.pointee.l2_normalize_backward(
        dy.pointer + i, y.pointer + i, inverse.pointer + range.lowerBound, floor, dx.pointer + i, range.count, width)
    }
  }
}
