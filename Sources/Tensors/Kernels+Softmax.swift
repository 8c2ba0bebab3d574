// Softmax over the last axis, and the losses built on it.
extension Kernels {
  /// Softmax of scale * s over rows, in place, on the calling thread; `logSums` [rows] lets it be repeated.
  package static func softmax(
    _ s: UnsafeMutablePointer<Float>, stride: Int, scale: Float, logSums: UnsafeMutablePointer<Float>, rows: Int,
    width: Int
  ) {
    table.pointee.softmax(s, stride, scale, logSums, rows, width)
  }

  /// The same softmax again from its saved `logSums`.
  package static func softmaxAgain(
    _ s: UnsafeMutablePointer<Float>, stride: Int, scale: Float, logSums: UnsafePointer<Float>, rows: Int, width: Int
  ) {
    table.pointee.softmax_again(s, stride, scale, logSums, rows, width)
  }

  /// Overwrites dp by scale * p * (dp - <p, dp>), row by row, on the calling thread.
  package static func softmaxBackward(
    _ p: UnsafePointer<Float>, overwriting dp: UnsafeMutablePointer<Float>, stride: Int, scale: Float, rows: Int,
    width: Int
  ) {
    table.pointee.softmax_backward(p, dp, stride, scale, rows, width)
  }

  /// The numerators exp(scale (s - maxima)) of a softmax over columns, in place, in whole vectors of 16 columns on the
  /// calling thread. `inverses` gets what they are to be multiplied by, `logSums` what lets the softmax be repeated.
  ///
  /// - Shapes: s [rows, width]; maxima, inverses [width rounded up to 16], logSums [width]
  package static func softmaxColumns(
    _ s: UnsafeMutablePointer<Float>, stride: Int, scale: Float, maxima: UnsafePointer<Float>,
    inverses: UnsafeMutablePointer<Float>, logSums: UnsafeMutablePointer<Float>, rows: Int, width: Int
  ) {
    table.pointee.softmax_columns(s, stride, scale, maxima, inverses, logSums, rows, width)
  }

  /// Overwrites dp by scale * p * (dp - means), one mean <p, dp> a column, in whole vectors on the calling thread.
  ///
  /// - Shapes: p, dp [rows, width]; means [width rounded up to 16]
  package static func softmaxColumnsBackward(
    _ p: UnsafePointer<Float>, overwriting dp: UnsafeMutablePointer<Float>, stride: Int, scale: Float,
    means: UnsafePointer<Float>, rows: Int, width: Int
  ) {
    table.pointee.softmax_columns_backward(p, dp, stride, scale, means, rows, width)
  }

  /// Softmax of scale * x over the last axis, in place.
  ///
  /// - Shapes: x [R, K]
  package static func softmax(_ x: Tensor, scale: Float = 1) {
    let width = x.shape.lastAxis
    let logSums = Tensor(uninitialized: [x.shape.leading])
    Team.split(x.shape.leading) { rows in
      softmax(
        x.pointer + rows.lowerBound * width, stride: width, scale: scale, logSums: logSums.pointer + rows.lowerBound,
        rows: rows.count, width: width)
    }
  }

  /// The cross-entropy summed over rows, in double; `logSums` is kept for backward.
  ///
  /// - Shapes: logits [R, K], logSums [R]; targets [R, K] or labels [R]
  package static func crossEntropy(_ logits: Tensor, _ targets: CrossEntropyTargets, logSums: Tensor) -> Double {
    targets.check(logits.shape)
    let width = logits.shape.lastAxis
    return sumOverRows(logits.shape.leading) { rows in
      targets.withPointers(row: rows.lowerBound, width: width) { soft, labels in
        table.pointee.cross_entropy(
          logits.pointer + rows.lowerBound * width, soft, labels, logSums.pointer + rows.lowerBound, rows.count, width)
      }
    }
  }

  /// dlogits = scale * (softmax(logits) * sum(t) - t).
  ///
  /// - Shapes: logits, dlogits [R, K]; logSums [R]; targets [R, K] or labels [R]
  package static func crossEntropyBackward(
    _ logits: Tensor, _ targets: CrossEntropyTargets, logSums: Tensor, scale: Float, into dlogits: Tensor
  ) {
    let width = logits.shape.lastAxis
    Team.split(logits.shape.leading) { rows in
      let i = rows.lowerBound * width
      targets.withPointers(row: rows.lowerBound, width: width) { soft, labels in
        table.pointee.cross_entropy_backward(
          logits.pointer + i, soft, labels, logSums.pointer + rows.lowerBound, scale, dlogits.pointer + i, rows.count,
          width)
      }
    }
  }

  /// The sum over rows of rowWeight * |a - b|², in double; rows of weight 0 are not read.
  ///
  /// - Shapes: a, b [R, D]; rowWeights [R]
  package static func squaredError(_ a: Tensor, _ b: Tensor, rowWeights: Tensor) -> Double {
    let width = a.shape.lastAxis
    precondition(
      a.count == b.count && rowWeights.count == a.shape.leading,
      "squaredError: \(a.shape) against \(b.shape), weights \(rowWeights.shape)")
    return sumOverRows(a.shape.leading) { rows in
      let i = rows.lowerBound * width
      return table.pointee.squared_error(
        a.pointer + i, b.pointer + i, rowWeights.pointer + rows.lowerBound, rows.count, width)
    }
  }

  /// da = 2 * scale * rowWeight * (a - b); 0 in rows of weight 0.
  ///
  /// - Shapes: a, b, da [R, D]; rowWeights [R]
  package static func squaredErrorBackward(
    _ a: Tensor, _ b: Tensor, rowWeights: Tensor, scale: Float, into da: Tensor
  ) {
    let width = a.shape.lastAxis
    Team.split(a.shape.leading) { rows in
      let i = rows.lowerBound * width
      table.pointee.squared_error_backward(
        a.pointer + i, b.pointer + i, rowWeights.pointer + rows.lowerBound, scale, da.pointer + i, rows.count, width)
    }
  }

  /// Sums over fixed blocks of 64 rows in order, whatever the number of threads.
  private static func sumOverRows(_ rows: Int, _ body: (Range<Int>) -> Double) -> Double {
    let blocks = (rows + 63) / 64
    var partials = [Double](repeating: 0, count: blocks)
    partials.withUnsafeMutableBufferPointer { results in
      nonisolated(unsafe) let results = results
      Team.split(blocks) { range in
        for block in range { results[block] = body(block * 64..<min(block * 64 + 64, rows)) }
      }
    }
    return partials.reduce(0, +)
  }
}

/// What a row of logits should have been.
public enum CrossEntropyTargets {
  /// One weight for each class; rows usually sum to 1. [R, K]
  case soft(Tensor)
  /// The index of the right class, in 0 ..< K. [R]
  case labels([Int32])

  /// How many floats a pass over the targets reads.
  package var floats: Int {
    switch self {
    case .soft(let targets): targets.count
    case .labels: 0
    }
  }

  func check(_ logits: Shape) {
    switch self {
    case .soft(let targets):
      precondition(targets.count == logits.count, "crossEntropy: logits \(logits), targets \(targets.shape)")
    case .labels(let labels):
      precondition(labels.count == logits.leading, "crossEntropy: logits \(logits), \(labels.count) labels")
      precondition(
        labels.allSatisfy { $0 >= 0 && Int($0) < logits.lastAxis }, "crossEntropy: a label outside logits \(logits)")
    }
  }

  func withPointers<R>(
    row: Int, width: Int, _ body: (_ soft: UnsafePointer<Float>?, _ labels: UnsafePointer<Int32>?) -> R
  ) -> R {
    switch self {
    case .soft(let targets): body(UnsafePointer(targets.pointer + row * width), nil)
    case .labels(let labels): labels.withUnsafeBufferPointer { body(nil, $0.baseAddress.map { $0 + row }) }
    }
  }
}
