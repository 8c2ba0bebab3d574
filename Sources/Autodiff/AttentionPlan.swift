import Tensors

/// The sizes of one attention and the loops over images and heads.
///
/// N tokens, d head width, D = heads d. Scores have rows of `scoreStride` floats, so that every row is aligned.
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
  private var headWidth: Int { width / heads }
  private var scoreStride: Int { (tokens + 15) / 16 * 16 }
  private var scale: Float { 1 / Float(headWidth).squareRoot() }
  /// Images that go through together: enough rows for a product at full speed, few enough for the L2 cache.
  private var group: Int { max(1, 512 / tokens) }

  func forward(
    _ x: Tensor, _ weight: Tensor, _ bias: Tensor, saving saved: Tensor?, logSums: Tensor, into y: Tensor
  ) {
    Team.split(images) { _, range in
      let scratch = AttentionScratch(tokens: tokens, headWidth: headWidth, scoreStride: scoreStride)
      let unsaved = saved == nil ? Tensor(uninitialized: [min(group, range.count) * tokens, 3 * width]) : nil
      for start in stride(from: range.lowerBound, to: range.upperBound, by: group) {
        let part = start..<min(start + group, range.upperBound)
        let rows = part.count * tokens
        let qkv = (saved?.rows(part) ?? unsaved?.rows(0..<rows) ?? x).reshaped([rows, 3 * width])
        Kernels.repeatRow(bias, into: qkv, rows: 0..<rows)
        Matmul.multiply(
          x.pointer + start * tokens * width, width, weight.pointer, width, transposeB: true, qkv.pointer, 3 * width,
          m: rows, n: 3 * width, k: width, accumulate: true)
        for image in part {
          forwardImage(
            qkv.pointer + (image - start) * tokens * 3 * width, scratch,
            logSums: logSums.pointer + image * heads * tokens, into: y.pointer + image * tokens * width)
        }
      }
    }
  }

  private func forwardImage(
    _ qkv: UnsafePointer<Float>, _ scratch: AttentionScratch, logSums: UnsafeMutablePointer<Float>,
    into y: UnsafeMutablePointer<Float>
  ) {
    for head in 0..<heads {
      load(qkv, head, scratch)
      scores(scratch)
      Kernels.softmax(
        scratch.scores, stride: scoreStride, scale: scale, logSums: logSums + head * tokens, rows: tokens,
        width: tokens)
      Matmul.multiply(
        scratch.scores, scoreStride, scratch.v, headWidth, y + head * headWidth, width, m: tokens, n: headWidth,
        k: tokens)
    }
  }

  func backward(
    _ dy: Tensor, overwriting qkv: Tensor, logSums: Tensor, _ weight: Tensor, biasGradient: Tensor?, into dx: Tensor?
  ) {
    let bias = biasGradient ?? Tensor(uninitialized: [3 * width])
    Team.splitSumming(images, into: [bias]) { range, sums in
      let scratch = AttentionScratch(tokens: tokens, headWidth: headWidth, scoreStride: scoreStride)
      for start in stride(from: range.lowerBound, to: range.upperBound, by: group) {
        let part = start..<min(start + group, range.upperBound)
        let rows = part.count * tokens
        let dqkv = qkv.rows(part)
        for image in part {
          backwardImage(
            dy.pointer + image * tokens * width, scratch, logSums: logSums.pointer + image * heads * tokens,
            overwriting: dqkv.pointer + (image - start) * tokens * 3 * width)
        }
        Kernels.addColumnSums(of: dqkv.pointer, rows: rows, width: 3 * width, to: sums[0])
        guard let dx else { continue }
        Matmul.multiply(
          dqkv.pointer, 3 * width, weight.pointer, width, dx.pointer + start * tokens * width, width, m: rows,
          n: width, k: 3 * width)
      }
    }
  }

  private func backwardImage(
    _ dy: UnsafePointer<Float>, _ scratch: AttentionScratch, logSums: UnsafePointer<Float>,
    overwriting qkv: UnsafeMutablePointer<Float>
  ) {
    let (n, d, s) = (tokens, headWidth, scoreStride)
    for head in 0..<heads {
      load(qkv, head, scratch)
      let dq = qkv + head * d
      Kernels.copyBlock(dy + head * d, stride: width, into: scratch.dy, stride: d, rows: n, width: d)
      scores(scratch)
      Kernels.softmaxAgain(
        scratch.scores, stride: s, scale: scale, logSums: logSums + head * n, rows: n, width: n)  // P [N, N]
      Matmul.multiply(
        scratch.scores, s, transposeA: true, scratch.dy, d, dq + 2 * width, 3 * width, m: n, n: d, k: n)  // dV
      Matmul.multiply(scratch.dy, d, scratch.v, d, transposeB: true, scratch.dscores, s, m: n, n: n, k: d)  // dP
      Kernels.softmaxBackward(
        scratch.scores, overwriting: scratch.dscores, stride: s, scale: scale, rows: n, width: n)
      Matmul.multiply(
        scratch.dscores, s, transposeA: true, scratch.q, d, dq + width, 3 * width, m: n, n: d, k: n)  // dK
      Matmul.multiply(scratch.dscores, s, scratch.k, d, dq, 3 * width, m: n, n: d, k: n)  // dQ
    }
  }

  /// One head's Q, K and V, contiguous. [N, 3 D] -> 3 times [N, d]
  private func load(_ qkv: UnsafePointer<Float>, _ head: Int, _ scratch: AttentionScratch) {
    for (which, place) in [scratch.q, scratch.k, scratch.v].enumerated() {
      Kernels.copyBlock(
        qkv + which * width + head * headWidth, stride: 3 * width, into: place, stride: headWidth, rows: tokens,
        width: headWidth)
    }
  }

  /// Q Kᵀ, not yet scaled. [N, N]
  private func scores(_ scratch: AttentionScratch) {
    Matmul.multiply(
      scratch.q, headWidth, scratch.k, headWidth, transposeB: true, scratch.scores, scoreStride, m: tokens, n: tokens,
      k: headWidth)
  }
}

/// What one thread needs to work on one head; from the pool, and small enough for the L2 cache.
private struct AttentionScratch {
  private let memory: Tensor
  let q, k, v, dy, scores, dscores: UnsafeMutablePointer<Float>

  init(tokens: Int, headWidth: Int, scoreStride: Int) {
    let (row, square) = (tokens * ((headWidth + 15) / 16 * 16), tokens * scoreStride)
    memory = Tensor(uninitialized: [4 * row + 2 * square])
    q = memory.pointer
    k = q + row
    v = k + row
    dy = v + row
    scores = dy + row
    dscores = scores + square
  }
}
