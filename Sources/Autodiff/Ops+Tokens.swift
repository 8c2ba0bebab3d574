import Basics
import Tensors

// B images, N tokens, D width.

/// Some tokens of every image.
///
/// - Shapes: x [B, N, D], indices [B k] in 0 ..< N -> [B, k, D]
/// - Gradient: to x; a token that is taken twice gets both gradients.
public func gatherTokens(_ x: Variable, indices: [Int32], perImage kept: Int) -> Variable {
  let (images, tokens, width) = extents(x, "gatherTokens")
  precondition(
    indices.count == images * kept && indices.allSatisfy { $0 >= 0 && Int($0) < tokens },
    "gatherTokens: \(indices.count) indices, \(kept) an image, for \(x.shape)")
  let (input, y) = (x.value, Tensor(uninitialized: [images, kept, width]))
  OpClock.measure(.elementwise, work: 2 * y.count) {
    overImages(images, indices, kept) { image, index in
      Kernels.gatherRows(
        input.pointer + image * tokens * width, index, into: y.pointer + image * kept * width, rows: kept,
        width: width)
    }
  }
  return record(y, from: [x], as: .elementwise) { dy in
    OpClock.count(.elementwise, work: images * tokens * width + 3 * dy.count)
    let dx = Tensor(zeros: [images, tokens, width])
    overImages(images, indices, kept) { image, index in
      Kernels.scatterAddRows(
        dy.pointer + image * kept * width, index, into: dx.pointer + image * tokens * width, rows: kept, width: width)
    }
    return [dx]
  }
}

/// A learnt token before the tokens of every image.
///
/// - Shapes: token [1, 1, D], x [B, N, D] -> [B, N + 1, D]
/// - Gradient: to the token and x.
public func prependToken(_ token: Parameter, _ x: Variable) -> Variable {
  let (images, tokens, width) = extents(x, "prependToken")
  precondition(token.shape.count == width, "prependToken: token \(token.shape), x \(x.shape)")
  let (input, first, y) = (x.value, token.value, Tensor(uninitialized: [images, tokens + 1, width]))
  OpClock.measure(.elementwise, work: 2 * y.count) {
    Team.split(images) { range in
      for image in range {
        let place = y.pointer + image * (tokens + 1) * width
        place.update(from: first.pointer, count: width)
        (place + width).update(from: input.pointer + image * tokens * width, count: tokens * width)
      }
    }
  }
  return record(y, from: [x], using: [token], as: .elementwise) { dy in
    OpClock.count(.elementwise, work: 2 * dy.count)
    if let gradient = token.wantedGradient {
      for image in 0..<images {
        Kernels.addColumnSums(
          of: dy.pointer + image * (tokens + 1) * width, rows: 1, width: width, to: gradient.pointer)
      }
    }
    return [withoutFirstToken(dy)]
  }
}

/// All tokens of every image but the first.
///
/// - Shapes: x [B, N, D] -> [B, N - 1, D]
public func dropFirstToken(_ x: Variable) -> Variable {
  let (images, tokens, width) = extents(x, "dropFirstToken")
  let y = OpClock.measure(.elementwise, work: 2 * images * (tokens - 1) * width) { withoutFirstToken(x.value) }
  return record(y, from: [x], as: .elementwise) { dy in
    OpClock.count(.elementwise, work: 2 * dy.count)
    let dx = Tensor(uninitialized: [images, tokens, width])
    Team.split(images) { range in
      for image in range {
        let place = dx.pointer + image * tokens * width
        place.update(repeating: 0, count: width)
        (place + width).update(from: dy.pointer + image * (tokens - 1) * width, count: (tokens - 1) * width)
      }
    }
    return [dx]
  }
}

/// The mean of the tokens of every image, after the first `skipped`.
///
/// - Shapes: x [B, N, D] -> [B, D]
public func meanTokens(_ x: Variable, skipping skipped: Int = 0) -> Variable {
  let (images, tokens, width) = extents(x, "meanTokens")
  precondition(skipped >= 0 && skipped < tokens, "meanTokens: skipping \(skipped) of \(x.shape)")
  let factor = 1 / Float(tokens - skipped)
  let (input, y) = (x.value, Tensor(zeros: [images, width]))
  OpClock.measure(.elementwise, work: input.count + y.count) {
    Team.split(images) { range in
      for image in range {
        Kernels.addColumnSums(
          of: input.pointer + (image * tokens + skipped) * width, rows: tokens - skipped, width: width,
          to: y.pointer + image * width)
      }
    }
    Kernels.scale(y.pointer, count: y.count, by: factor)
  }
  return record(y, from: [x], as: .elementwise) { dy in
    OpClock.count(.elementwise, work: dy.count + images * tokens * width)
    let share = Tensor(uninitialized: dy.shape)
    Kernels.scale(dy, by: factor, into: share)
    let dx = Tensor(uninitialized: [images, tokens, width])
    Team.split(images) { range in
      for image in range {
        let rows = dx.rows(image..<image + 1).reshaped([tokens, width])
        (rows.pointer).update(repeating: 0, count: skipped * width)
        Kernels.repeatRow(share.rows(image..<image + 1).reshaped([width]), into: rows, rows: skipped..<tokens)
      }
    }
    return [dx]
  }
}

/// Values joined along the leading axis.
///
/// - Shapes: [R1, ..], [R2, ..], ... -> [R1 + R2 + ..., ..]
public func concatenateRows(_ parts: [Variable]) -> Variable {
  let rows = parts.map { $0.shape[0] }
  let inner = parts[0].shape.dims.dropFirst()
  precondition(
    parts.allSatisfy { $0.shape.dims.dropFirst() == inner }, "concatenateRows: \(parts.map { $0.shape.description })")
  let y = Tensor(uninitialized: Shape([rows.reduce(0, +)] + inner))
  let starts = rows.indices.map { rows[..<$0].reduce(0, +) }
  OpClock.measure(.elementwise, work: 2 * y.count) {
    for (part, start) in zip(parts, starts) { y.rows(start..<start + part.shape[0]).assign(part.value) }
  }
  return record(y, from: parts, as: .elementwise) { dy in
    zip(starts, rows).map { start, count in dy.rows(start..<start + count) }
  }
}

/// A view of some rows of the leading axis.
///
/// - Shapes: [R, ..] -> [range.count, ..]
public func rows(_ x: Variable, _ range: Range<Int>) -> Variable {
  let shape = x.shape
  return record(x.value.rows(range), from: [x], as: .elementwise) { dy in
    OpClock.count(.elementwise, work: shape.count + 2 * dy.count)
    let dx = Tensor(zeros: shape)
    dx.rows(range).assign(dy)
    return [dx]
  }
}

private func extents(_ x: Variable, _ op: String) -> (images: Int, tokens: Int, width: Int) {
  precondition(x.shape.rank == 3, "\(op): needs [B, N, D], got \(x.shape)")
  return (x.shape[0], x.shape[1], x.shape[2])
}

private func overImages(
  _ images: Int, _ indices: [Int32], _ perImage: Int, _ body: (_ image: Int, _ index: UnsafePointer<Int32>) -> Void
) {
  indices.withUnsafeBufferPointer { indices in
    guard let base = indices.baseAddress else { return }
    Team.split(images) { range in
      for image in range { body(image, base + image * perImage) }
    }
  }
}

/// [B, N, D] -> [B, N - 1, D]
private func withoutFirstToken(_ x: Tensor) -> Tensor {
  let (images, tokens, width) = (x.shape[0], x.shape[1], x.shape[2])
  let y = Tensor(uninitialized: [images, tokens - 1, width])
  Team.split(images) { range in
    for image in range {
      (y.pointer + image * (tokens - 1) * width)
        .update(from: x.pointer + (image * tokens + 1) * width, count: (tokens - 1) * width)
    }
  }
  return y
}
