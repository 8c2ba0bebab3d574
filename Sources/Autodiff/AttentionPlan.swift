import Basics
import Tensors

/// The sizes of one attention and the loops over images and heads.
///
/// N tokens, d head width, D = heads d. Scores stand turned, a row for each key and a column for each query, so that
/// softmax sums along rows of vectors and not inside them. Rows of scratch are padded to whole vectors of 16 floats;
/// what stands in the padding does not matter. One to three queries past the last whole vector go through on their own,
/// as rows over the keys, and are then put into their columns.
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
  /// Queries that would leave most of a vector empty.
  fileprivate var lastQueries: Int { tokens > 16 && tokens % 16 <= 3 ? tokens % 16 : 0 }
  private var vectorQueries: Int { tokens - lastQueries }
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
          let (own, ownY) = (qkv.pointer + place * tokens * 3 * width, y.pointer + image * tokens * width)
          let next = place + 1 < part.count ? Image(qkv: own, joined: ownY).next(in: self) : nil
          forwardImage(own, next: next, scratch, logSums: logSums.pointer + image * heads * tokens, into: ownY)
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

  /// A few images at a time with the place of their qkv: their rows of `saved`, or scratch of the calling thread.
  private func overGroups(of range: Range<Int>, in saved: Tensor?, _ body: (Range<Int>, Tensor) -> Void) {
    let place = saved ?? Tensor(uninitialized: [min(group, images), tokens, 3 * width])
    for start in stride(from: range.lowerBound, to: range.upperBound, by: group) {
      let part = start..<min(start + group, range.upperBound)
      body(part, place.rows(saved == nil ? 0..<part.count : part))
    }
  }

  private func forwardImage(
    _ qkv: UnsafePointer<Float>, next: Image?, _ scratch: AttentionScratch, logSums: UnsafeMutablePointer<Float>,
    into y: UnsafeMutablePointer<Float>
  ) {
    let (n, m, d) = (tokens, vectorQueries, headWidth)
    let p = Kernels.MutableRows(scratch.scores, stride: scoreStride)
    for head in 0..<heads {
      let q = qkv + head * d
      var ahead = ahead(of: head, in: Image(qkv: qkv, joined: y), next: next, products: 2)
      turn(q, stride: 3 * width, into: scratch.qT)  // [d, N]
      scratch.maxima.update(repeating: -.infinity, count: scoreStride)
      Kernels.product(
        rows(q + width), scratch.turned(scratch.qT), into: p, maxima: scratch.maxima, m: n, n: m, k: d, ahead: &ahead)
      Kernels.softmaxColumns(
        scratch.scores, stride: scoreStride, scale: scale, maxima: scratch.maxima, inverses: scratch.inverses,
        logSums: logSums + head * n, rows: n, width: m)  // Pᵀ [N, N] but for the inverses
      if m < n { lastProbabilities(q, scratch, logSums: logSums + head * n) }
      Kernels.productTurned(
        scratch.turned(scratch.scores), vectors(of: rows(q + 2 * width), scratch.q), factors: scratch.inverses,
        into: .init(y + head * d, stride: width), m: n, n: d, k: n, ahead: &ahead)
    }
  }

  private func lastProbabilities(
    _ q: UnsafePointer<Float>, _ scratch: AttentionScratch, logSums: UnsafeMutablePointer<Float>
  ) {
    let (n, m) = (tokens, vectorQueries)
    dots(rows(q + m * 3 * width), rows(q + width), into: scratch.lastScores)
    Kernels.softmax(
      scratch.lastScores, stride: scoreStride, scale: scale, logSums: logSums + m, rows: n - m, width: n)
    putLast(scratch.lastScores, into: scratch.scores)
    (scratch.inverses + m).update(repeating: 1, count: n - m)
  }

  /// Products of the last queries' rows with all rows of another operand.
  private func dots(_ a: Kernels.Rows, _ b: Kernels.Rows, into c: UnsafeMutablePointer<Float>) {
    Kernels.dots(a, b, into: .init(c, stride: scoreStride), m: lastQueries, n: tokens, k: headWidth)
  }

  /// Rows of the last queries to their columns.
  private func putLast(_ x: UnsafePointer<Float>, into scores: UnsafeMutablePointer<Float>) {
    for i in 0..<lastQueries {
      let (row, column) = (x + i * scoreStride, scores + vectorQueries + i)
      for j in 0..<tokens { column[j * scoreStride] = row[j] }
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
    Kernels.transpose(x, stride: stride, into: y, stride: scoreStride, rows: vectorQueries, width: headWidth)
  }

  /// Where an image's qkv [N, 3 D] and its joined heads [N, D] stand: y in forward, dy in backward.
  private struct Image {
    let qkv, joined: UnsafePointer<Float>

    func next(in plan: AttentionPlan) -> Image {
      Image(qkv: qkv + plan.tokens * 3 * plan.width, joined: joined + plan.tokens * plan.width)
    }
  }

  /// What the head after this one touches: the next of this image, or the first of the image after it.
  private func ahead(of head: Int, in image: Image, next: Image?, products: Int) -> Kernels.Ahead {
    let isInside = head + 1 < heads
    guard let place = isInside ? image : next else { return .init(nothingAt: image.qkv) }
    let column = isInside ? (head + 1) * headWidth : 0
    let q = place.qkv + column
    return .init(
      (rows(q), rows(q + width), rows(q + 2 * width), .init(place.joined + column, stride: width)), count: 4,
      rows: tokens, width: headWidth, products: products)
  }

  /// The gradient of qkv in its place. `fill` may write the qkv of a few images before; `finish` gets their gradient,
  /// and this thread's sums for `totals`.
  ///
  /// - Shapes: dy [B, N, D]; saved [B, N, 3 D] or nil for scratch; biasGradient [3 D]
  func backward(
    _ dy: Tensor, overwriting saved: Tensor?, logSums: Tensor, biasGradient: Tensor?, summing totals: [Tensor] = [],
    fill: (_ part: Range<Int>, _ qkv: Tensor) -> Void,
    finish: (_ part: Range<Int>, _ dqkv: Tensor, _ sums: [UnsafeMutablePointer<Float>]) -> Void = { _, _, _ in }
  ) {
    let bias = biasGradient ?? Tensor(uninitialized: [3 * width])
    // Large sums are kept for few pieces.
    let grain = totals.isEmpty ? grain : max(grain, images / 8)
    Team.splitSumming(images, grain: grain, into: totals + [bias]) { range, end, sums in
      let scratch = AttentionScratch(self)
      let biasSums = sums[totals.count]
      overGroups(of: range, in: saved) { part, qkv in
        fill(part, qkv)
        for (place, image) in part.enumerated() {
          let (own, ownDY) = (qkv.pointer + place * tokens * 3 * width, dy.pointer + image * tokens * width)
          // Pieces may be single images.
          let isFollowed = saved == nil ? place + 1 < part.count : image + 1 < end
          let next = isFollowed ? Image(qkv: own, joined: ownDY).next(in: self) : nil
          backwardImage(
            ownDY, next: next, scratch, logSums: logSums.pointer + image * heads * tokens, overwriting: own)
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
    _ dy: UnsafePointer<Float>, next: Image?, _ scratch: AttentionScratch, logSums: UnsafePointer<Float>,
    overwriting qkv: UnsafeMutablePointer<Float>
  ) {
    let (n, m, d) = (tokens, vectorQueries, headWidth)
    let (p, ds) = (scratch.scores, scratch.dscores)
    for head in 0..<heads {
      let (q, k, v) = (qkv + head * d, qkv + head * d + width, qkv + head * d + 2 * width)
      let dyRows = vectors(of: .init(dy + head * d, stride: width), scratch.dy)
      var ahead = ahead(of: head, in: Image(qkv: qkv, joined: dy), next: next, products: 5)
      // The gradient of the queries is written before that of the keys reads them.
      Kernels.copyBlock(q, stride: 3 * width, into: scratch.q, stride: copyStride, rows: n, width: d)
      turn(scratch.q, stride: copyStride, into: scratch.qT)
      turn(dyRows.base, stride: dyRows.stride, into: scratch.dyT)
      scratch.shifts.update(from: logSums + head * n, count: n)
      scratch.means.update(repeating: 0, count: scoreStride)

      Kernels.productExp(
        rows(k), scratch.turned(scratch.qT), scale: scale, shifts: scratch.shifts,
        into: .init(p, stride: scoreStride), m: n, n: m, k: d, ahead: &ahead)  // Pᵀ [N, N]
      Kernels.product(
        rows(v), scratch.turned(scratch.dyT), into: .init(ds, stride: scoreStride), weights: p, sums: scratch.means,
        m: n, n: m, k: d, ahead: &ahead)  // dPᵀ
      if m < n { lastGradients(k, v, dyRows, scratch, logSums: logSums + head * n + m) }
      Kernels.product(
        scratch.turned(p), dyRows, into: .init(v, stride: 3 * width), m: n, n: d, k: n, ahead: &ahead)  // dV = Pᵀ dO
      Kernels.softmaxColumnsBackward(
        p, overwriting: ds, stride: scoreStride, scale: scale, means: scratch.means, rows: n, width: m)  // dSᵀ
      putLast(scratch.lastDScores, into: ds)
      Kernels.productTurned(
        scratch.turned(ds), vectors(of: rows(k), scratch.dy), into: .init(q, stride: 3 * width), m: n, n: d, k: n,
        ahead: &ahead)  // dQ = dS K
      Kernels.product(
        scratch.turned(ds), .init(scratch.q, stride: copyStride), into: .init(k, stride: 3 * width), m: n, n: d, k: n,
        ahead: &ahead)  // dK = dSᵀ Q
    }
  }

  /// Puts the probabilities of the last queries into the scores and leaves the gradient of their scores beside them.
  private func lastGradients(
    _ k: UnsafePointer<Float>, _ v: UnsafePointer<Float>, _ dy: Kernels.Rows, _ scratch: AttentionScratch,
    logSums: UnsafePointer<Float>
  ) {
    let (p, ds, m) = (scratch.lastScores, scratch.lastDScores, vectorQueries)
    dots(.init(scratch.q + m * copyStride, stride: copyStride), rows(k), into: p)
    Kernels.softmaxAgain(p, stride: scoreStride, scale: scale, logSums: logSums, rows: lastQueries, width: tokens)
    dots(.init(dy.base + m * dy.stride, stride: dy.stride), rows(v), into: ds)
    Kernels.softmaxBackward(p, overwriting: ds, stride: scoreStride, scale: scale, rows: lastQueries, width: tokens)
    putLast(p, into: scratch.scores)
  }
}

/// What one thread needs to work on one head; from the pool, and small enough for the L2 cache.
private struct AttentionScratch {
  private let memory: Tensor
  private let stride: Int
  let q, dy, qT, dyT, scores, dscores: UnsafeMutablePointer<Float>
  /// Rows over keys, one for each of the last queries.
  let lastScores, lastDScores: UnsafeMutablePointer<Float>
  /// Maxima of the columns and what they are to be multiplied by; in backward what is subtracted before and after.
  let maxima, inverses: UnsafeMutablePointer<Float>
  var shifts: UnsafeMutablePointer<Float> { maxima }
  var means: UnsafeMutablePointer<Float> { inverses }

  init(_ plan: AttentionPlan) {
    stride = plan.scoreStride
    let copy = plan.tokens * plan.copyStride
    let turned = plan.headWidth * stride
    let square = plan.tokens * stride
    let last = plan.lastQueries * stride
    memory = Tensor(uninitialized: [2 * copy + 2 * turned + 2 * square + 2 * last + 2 * stride])
    q = memory.pointer
    dy = q + copy
    qT = dy + copy
    dyT = qT + turned
    scores = dyT + turned
    dscores = scores + square
    lastScores = dscores + square
    lastDScores = lastScores + last
    maxima = lastDScores + last
    inverses = maxima + stride
    maxima.update(repeating: 0, count: stride)
  }

  /// Rows over queries.
  func turned(_ base: UnsafePointer<Float>) -> Kernels.Rows { .init(base, stride: stride) }
}
