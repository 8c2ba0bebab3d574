import Basics
import Tensors

/// The sizes of one attention and the loops over images and heads.
///
/// N tokens, d head width, D = heads d. Scores stand turned, a row for each key and a column for each query, so that
/// softmax sums along rows of vectors and not inside them. Rows of scratch are padded to whole vectors of 16 floats;
/// what stands in the padding does not matter.
struct AttentionPlan {
  let images, tokens, width, heads: Int

  init(_ x: Shape, _ weight: Shape, heads: Int) {
    precondition(
      x.rank == 3 && heads > 0 && x[2] % heads == 0 && weight == [3 * x[2], x[2]],
      "selfAttention: x \(x), qkv weight \(weight), \(heads) heads")
    (images, tokens, width) = (x[0], x[1], x[2])
    self.heads = heads
  }

  var qkvShape: Shape { [images, tokens, 3 * width] }
  /// Operations of the qkv product, and of each of its two gradients.
  var qkvFlops: Int { 2 * images * tokens * width * 3 * width }
  /// Operations of scores and values; their four gradients take twice as many. The repeated scores do not count.
  var scoreFlops: Int { 4 * images * tokens * tokens * width }
  fileprivate var headWidth: Int { width / heads }
  fileprivate var copyStride: Int { (headWidth + 15) / 16 * 16 }
  fileprivate var scoreStride: Int { (tokens + 15) / 16 * 16 }
  private var scale: Float { 1 / Float(headWidth).squareRoot() }
  /// Images that go through together: enough rows for a product at full speed, few enough for the caches.
  private var group: Int { max(1, 1024 / tokens) }
  /// The fewest images that a thread takes.
  private var grain: Int { max(1, 50 / tokens) }

  /// Attention of all images, whose qkv `fill` writes for a few images at a time, on the thread that then uses it.
  ///
  /// - Shapes: saved [B, N, 3 D] or nil for scratch; logSums [B, heads, N]; y [B, N, D]
  func forward(
    saving saved: Tensor?, logSums: Tensor, into y: Tensor, fill: (_ part: Range<Int>, _ qkv: Tensor) -> Void
  ) {
    Team.split(images, grain: grain) { range in
      let scratch = AttentionScratch(self)
      overGroups(of: range, in: saved) { part, qkv in
        fill(part, qkv)
        for (place, image) in part.enumerated() {
          let own = qkv.pointer + place * tokens * 3 * width
          forwardImage(
            own, next: place + 1 < part.count ? own + tokens * 3 * width : nil, scratch,
            logSums: logSums.pointer + image * heads * tokens, into: y.pointer + image * tokens * width)
        }
      }
    }
  }

  /// The queries, keys and values of some images, on the calling thread.
  ///
  /// - Shapes: x [B, N, D]; weight of the forward product -> qkv [n, N, 3 D]
  func project(_ x: Tensor, _ weight: PreparedWeight, _ bias: Tensor, _ part: Range<Int>, into qkv: Tensor) {
    let rows = x.rows(part)
    OpClock.measure(.linear) {
      weight.multiply(rows.pointer, rows: 0..<part.count * tokens, into: qkv.pointer, bias: bias.pointer)
    }
  }

  /// The gradient of the input of `project`, on the calling thread.
  ///
  /// - Shapes: dqkv [n, N, 3 D]; weight of the data gradient -> dx [n, N, D]
  func inputGradient(_ dqkv: Tensor, _ weight: PreparedWeight, into dx: Tensor) {
    OpClock.measure(.linear) {
      weight.multiply(dqkv.pointer, rows: 0..<dx.shape.leading, into: dx.pointer)
    }
  }

  /// A few images at a time with the place of their qkv: their rows of `saved`, or scratch of the calling thread.
  private func overGroups(of range: Range<Int>, in saved: Tensor?, _ body: (Range<Int>, Tensor) -> Void) {
    let place = saved ?? Tensor(uninitialized: [min(group, images), tokens, 3 * width])
    for start in stride(from: range.lowerBound, to: range.upperBound, by: group) {
      let part = start..<min(start + group, range.upperBound)
      body(part, place.rows(saved == nil ? 0..<part.count : part))
    }
  }

  private func forwardImage(
    _ qkv: UnsafePointer<Float>, next: UnsafePointer<Float>?, _ scratch: AttentionScratch,
    logSums: UnsafeMutablePointer<Float>, into y: UnsafeMutablePointer<Float>
  ) {
    let (n, d) = (tokens, headWidth)
    let p = Kernels.MutableRows(scratch.scores, stride: scoreStride)
    for head in 0..<heads {
      let q = qkv + head * d
      var ahead = ahead(of: head, in: qkv, next: next)
      turn(q, stride: 3 * width, into: scratch.qT)  // [d, N]
      scratch.maxima.update(repeating: -.infinity, count: scoreStride)
      Kernels.product(
        rows(q + width), scratch.turned(scratch.qT), into: p, maxima: scratch.maxima, m: n, n: n, k: d, ahead: &ahead)
      Kernels.softmaxColumns(
        scratch.scores, stride: scoreStride, scale: scale, maxima: scratch.maxima, inverses: scratch.inverses,
        logSums: logSums + head * n, rows: n, width: n)  // Pᵀ [N, N] but for the inverses
      Kernels.productTurned(
        scratch.turned(scratch.scores), vectors(of: rows(q + 2 * width), scratch.q), factors: scratch.inverses,
        into: .init(y + head * d, stride: width), m: n, n: d, k: n, ahead: &ahead)
    }
  }

  /// One head's queries, keys or values.
  private func rows(_ base: UnsafePointer<Float>) -> Kernels.Rows { .init(base, stride: 3 * width) }

  /// One head's rows for a product that reads whole vectors of them: copied where those would reach past the head.
  private func vectors(of rows: Kernels.Rows, _ copy: UnsafeMutablePointer<Float>) -> Kernels.Rows {
    if headWidth == copyStride { return rows }
    Kernels.copyBlock(rows.base, stride: rows.stride, into: copy, stride: copyStride, rows: tokens, width: headWidth)
    return .init(copy, stride: copyStride)
  }

  private func turn(_ x: UnsafePointer<Float>, stride: Int, into y: UnsafeMutablePointer<Float>) {
    Kernels.transpose(x, stride: stride, into: y, stride: scoreStride, rows: tokens, width: headWidth)
  }

  /// What the head after this one reads: the next of this image, or the first of the image at `next`.
  private func ahead(
    of head: Int, in qkv: UnsafePointer<Float>, next: UnsafePointer<Float>?, dy: UnsafePointer<Float>? = nil,
    nextDY: UnsafePointer<Float>? = nil
  ) -> Kernels.Ahead {
    let isInside = head + 1 < heads
    let place = (head + 1) * headWidth
    guard let q = isInside ? qkv + place : next else { return .init(nothingAt: qkv) }
    let dy = isInside ? dy.map { $0 + place } : nextDY
    return .init(
      (rows(q), rows(q + width), rows(q + 2 * width), .init(dy ?? q, stride: width)), count: dy == nil ? 3 : 4,
      rows: tokens, width: headWidth, products: dy == nil ? 2 : 5)
  }

  /// The gradient of qkv in its place. `fill` may write the qkv of a few images before; `finish` gets their gradient,
  /// and this thread's sums for `totals`.
  ///
  /// - Shapes: dy [B, N, D]; saved [B, N, 3 D] or nil for scratch; biasGradient [3 D]
  func backward(
    _ dy: Tensor, overwriting saved: Tensor?, logSums: Tensor, biasGradient: Tensor?, summing totals: [Tensor] = [],
    fill: (_ part: Range<Int>, _ qkv: Tensor) -> Void,
    finish: (_ part: Range<Int>, _ dqkv: Tensor, _ sums: [UnsafeMutablePointer<Float>]) -> Void
  ) {
    let bias = biasGradient ?? Tensor(uninitialized: [3 * width])
    // Large sums are kept for few pieces.
    let grain = totals.isEmpty ? grain : max(grain, images / 8)
    Team.splitSumming(images, grain: grain, into: totals + [bias]) { range, sums in
      let scratch = AttentionScratch(self)
      let biasSums = sums[totals.count]
      overGroups(of: range, in: saved) { part, qkv in
        fill(part, qkv)
        for (place, image) in part.enumerated() {
          let (own, ownDY) = (qkv.pointer + place * tokens * 3 * width, dy.pointer + image * tokens * width)
          // Pieces may be single images, and the next one of kept qkv is mostly this thread's too.
          let isFollowed = saved == nil ? place + 1 < part.count : image + 1 < images
          let next = (UnsafePointer(ownDY + tokens * width), UnsafePointer(own + tokens * 3 * width))
          backwardImage(
            ownDY, scratch, logSums: logSums.pointer + image * heads * tokens, overwriting: own,
            next: isFollowed ? next : nil)
        }
        OpClock.measure(.elementwise) {
          Kernels.addColumnSums(of: qkv.pointer, rows: part.count * tokens, width: 3 * width, to: biasSums)
        }
        finish(part, qkv, sums)
      }
      // A key bias shifts all scores of a query alike, and softmax does not see it: its gradient is 0. The sum of dK
      // is rounding noise, which Adam would blow up to full steps, different ones for every number of ranks.
      (biasSums + width).update(repeating: 0, count: width)
    }
  }

  private func backwardImage(
    _ dy: UnsafePointer<Float>, _ scratch: AttentionScratch, logSums: UnsafePointer<Float>,
    overwriting qkv: UnsafeMutablePointer<Float>, next: (dy: UnsafePointer<Float>, qkv: UnsafePointer<Float>)?
  ) {
    let (n, d) = (tokens, headWidth)
    let (p, ds) = (scratch.scores, scratch.dscores)
    for head in 0..<heads {
      let (q, k, v) = (qkv + head * d, qkv + head * d + width, qkv + head * d + 2 * width)
      let dyRows = vectors(of: .init(dy + head * d, stride: width), scratch.dy)
      var ahead = ahead(of: head, in: qkv, next: next?.qkv, dy: dy, nextDY: next?.dy)
      // The gradient of the queries is written before that of the keys reads them.
      Kernels.copyBlock(q, stride: 3 * width, into: scratch.q, stride: copyStride, rows: n, width: d)
      turn(scratch.q, stride: copyStride, into: scratch.qT)
      turn(dyRows.base, stride: dyRows.stride, into: scratch.dyT)
      scratch.shifts.update(from: logSums + head * n, count: n)
      scratch.means.update(repeating: 0, count: scoreStride)

      Kernels.productExp(
        rows(k), scratch.turned(scratch.qT), scale: scale, shifts: scratch.shifts,
        into: .init(p, stride: scoreStride), m: n, n: n, k: d, ahead: &ahead)  // Pᵀ [N, N]
      Kernels.product(
        rows(v), scratch.turned(scratch.dyT), into: .init(ds, stride: scoreStride), weights: p, sums: scratch.means,
        m: n, n: n, k: d, ahead: &ahead)  // dPᵀ
      Kernels.product(
        scratch.turned(p), dyRows, into: .init(v, stride: 3 * width), m: n, n: d, k: n, ahead: &ahead)  // dV = Pᵀ dO
      Kernels.softmaxColumnsBackward(
        p, overwriting: ds, stride: scoreStride, scale: scale, means: scratch.means, rows: n, width: n)  // dSᵀ
      Kernels.productTurned(
        scratch.turned(ds), vectors(of: rows(k), scratch.dy), into: .init(q, stride: 3 * width), m: n, n: d, k: n,
        ahead: &ahead)  // dQ = dS K
      Kernels.product(
        scratch.turned(ds), .init(scratch.q, stride: copyStride), into: .init(k, stride: 3 * width), m: n, n: d, k: n,
        ahead: &ahead)  // dK = dSᵀ Q
    }
  }
}

/// What one thread needs to work on one head; from the pool, and small enough for the L2 cache.
private struct AttentionScratch {
  private let memory: Tensor
  private let stride: Int
  let q, dy, qT, dyT, scores, dscores: UnsafeMutablePointer<Float>
  /// Maxima of the columns and what they are to be multiplied by; in backward what is subtracted before and after.
  let maxima, inverses: UnsafeMutablePointer<Float>
  var shifts: UnsafeMutablePointer<Float> { maxima }
  var means: UnsafeMutablePointer<Float> { inverses }

  init(_ plan: AttentionPlan) {
    stride = plan.scoreStride
    let copy = plan.tokens * plan.copyStride
    let turned = plan.headWidth * stride
    let square = plan.tokens * stride
    memory = Tensor(uninitialized: [2 * copy + 2 * turned + 2 * square + 2 * stride])
    q = memory.pointer
    dy = q + copy
    qT = dy + copy
    dyT = qT + turned
    scores = dyT + turned
    dscores = scores + square
    maxima = dscores + square
    inverses = maxima + stride
    maxima.update(repeating: 0, count: stride)
  }

  /// Rows over queries.
  func turned(_ base: UnsafePointer<Float>) -> Kernels.Rows { .init(base, stride: stride) }
}
