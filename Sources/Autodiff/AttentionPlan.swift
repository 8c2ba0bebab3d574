import Basics
import Tensors

/// The sizes of one attention and the loops over images and heads.
///
/// N tokens, d head width, D = heads d. Rows of scratch are padded to whole vectors of 16 floats; what stands in the
/// padding does not matter.
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
  fileprivate var packedWidth: Int { (headWidth + 15) / 16 * 16 }
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
          forwardImage(
            qkv.pointer + place * tokens * 3 * width, scratch, logSums: logSums.pointer + image * heads * tokens,
            into: y.pointer + image * tokens * width)
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
    _ qkv: UnsafePointer<Float>, _ scratch: AttentionScratch, logSums: UnsafeMutablePointer<Float>,
    into y: UnsafeMutablePointer<Float>
  ) {
    let (n, d, s) = (tokens, headWidth, scoreStride)
    for head in 0..<heads {
      let q = qkv + head * d
      Kernels.transpose(q + width, stride: 3 * width, into: scratch.kT, stride: s, rows: n, width: d)  // [d, N]
      pack(q + 2 * width, stride: 3 * width, into: scratch.v)  // [N, d]
      Kernels.product(
        .rows(q, stride: 3 * width), scratch.kT, stride: s, into: scratch.scores, stride: s, m: n, n: n, k: d)
      Kernels.softmax(
        scratch.scores, stride: s, scale: scale, logSums: logSums + head * n, rows: n, width: n)  // P [N, N]
      Kernels.product(
        .rows(scratch.scores, stride: s), scratch.v, stride: packedWidth, into: y + head * d, stride: width, m: n,
        n: d, k: n)
    }
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
          backwardImage(
            dy.pointer + image * tokens * width, scratch, logSums: logSums.pointer + image * heads * tokens,
            overwriting: qkv.pointer + place * tokens * 3 * width)
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
    overwriting qkv: UnsafeMutablePointer<Float>
  ) {
    let (n, d, s, w) = (tokens, headWidth, scoreStride, packedWidth)
    for head in 0..<heads {
      let (q, k, v) = (qkv + head * d, qkv + head * d + width, qkv + head * d + 2 * width)
      pack(q, stride: 3 * width, into: scratch.q)
      pack(k, stride: 3 * width, into: scratch.k)
      pack(dy + head * d, stride: width, into: scratch.dy)
      Kernels.transpose(k, stride: 3 * width, into: scratch.kT, stride: s, rows: n, width: d)
      Kernels.transpose(v, stride: 3 * width, into: scratch.vT, stride: s, rows: n, width: d)

      let (p, dp) = (scratch.scores, scratch.dscores)
      Kernels.product(.rows(scratch.q, stride: w), scratch.kT, stride: s, into: p, stride: s, m: n, n: n, k: d)
      Kernels.softmaxAgain(p, stride: s, scale: scale, logSums: logSums + head * n, rows: n, width: n)  // P [N, N]
      Kernels.product(
        .columns(p, stride: s), scratch.dy, stride: w, into: v, stride: 3 * width, m: n, n: d, k: n)  // dV = Pᵀ dO
      Kernels.product(.rows(scratch.dy, stride: w), scratch.vT, stride: s, into: dp, stride: s, m: n, n: n, k: d)
      Kernels.softmaxBackward(p, overwriting: dp, stride: s, scale: scale, rows: n, width: n)  // dS [N, N]
      Kernels.product(
        .columns(dp, stride: s), scratch.q, stride: w, into: k, stride: 3 * width, m: n, n: d, k: n)  // dK = dSᵀ Q
      Kernels.product(.rows(dp, stride: s), scratch.k, stride: w, into: q, stride: 3 * width, m: n, n: d, k: n)  // dQ
    }
  }

  /// One head's part of every row, contiguous. [N, stride] -> [N, d]
  private func pack(_ x: UnsafePointer<Float>, stride: Int, into y: UnsafeMutablePointer<Float>) {
    Kernels.copyBlock(x, stride: stride, into: y, stride: packedWidth, rows: tokens, width: headWidth)
  }
}

/// What one thread needs to work on one head; from the pool, and small enough for the L2 cache.
private struct AttentionScratch {
  private let memory: Tensor
  let q, k, v, dy, kT, vT, scores, dscores: UnsafeMutablePointer<Float>

  init(_ plan: AttentionPlan) {
    let packed = plan.tokens * plan.packedWidth
    let turned = plan.headWidth * plan.scoreStride
    let square = plan.tokens * plan.scoreStride
    memory = Tensor(uninitialized: [4 * packed + 2 * turned + 2 * square])
    q = memory.pointer
    k = q + packed
    v = k + packed
    dy = v + packed
    kT = dy + packed
    vT = kT + turned
    scores = vT + turned
    dscores = scores + square
  }
}
