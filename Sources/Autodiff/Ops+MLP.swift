import Basics
import Tensors

// R rows, D width, H hidden width.

/// The two layers of a block's MLP without the bias of the second: GELU(x W1ᵀ + b1) W2ᵀ, exact erf.
///
/// The hidden layer goes through in parts of the rows: forward, a thread takes its own through both products while they
/// are in cache; backward, the team makes the gradient of one part at a time and uses it up.
/// - Shapes: x [.., D], weight1 [H, D], bias1 [H], weight2 [D, H] -> [.., D]
/// - Gradient: to x and the three parameters.
/// - Memory: keeps the value before GELU [R, H] alone. Backward makes GELU again in the pass that differentiates it,
///   over the value that is no longer needed.
public func mlp(_ x: Variable, _ weight1: Parameter, bias1: Parameter, _ weight2: Parameter) -> Variable {
  let (w1, w2) = (weight1.matrix, weight2.matrix)
  precondition(
    w1.shape == [w2.shape[1], x.shape.lastAxis] && bias1.shape.count == w1.shape[0],
    "mlp: x \(x.shape), weights \(w1.shape) and \(w2.shape), bias \(bias1.shape)")
  let layers = HiddenLayer(rows: x.shape.leading, weight1: weight1, bias1: bias1, weight2: weight2)
  let isRecorded = Tape.records([x], [weight1, bias1, weight2])
  let hidden = isRecorded ? Tensor(uninitialized: layers.shape) : nil
  let y = Tensor(uninitialized: x.shape.replacingLast(w2.shape[0]))
  layers.forward(x.value, saving: hidden, into: y)
  let (shape, needsInput) = (x.shape, x.needsGradient)
  let input = weight1.isFrozen ? nil : x.kept  // a frozen weight does not need its input
  return record(y, from: [x], using: [weight1, bias1, weight2], as: .linear) { dy in
    guard let hidden else { preconditionFailure("mlp: recorded without its hidden layer") }
    let dx = needsInput ? Tensor(uninitialized: shape) : nil
    layers.backward(dy, overwriting: hidden, input: input?.value, into: dx)
    return [dx]
  }
}

/// The loops of `mlp` over parts of the rows.
private struct HiddenLayer {
  let rows: Int
  let weight1, bias1, weight2: Parameter

  /// The most rows that a thread takes through both products at a time: what is made again for each part are fetches
  /// of the weights.
  private static let forwardRows = 1024
  /// The most floats of the hidden gradient that backward makes at a time: 32 MiB.
  private static let backwardFloats = 8 << 20

  private var width: Int { weight1.shape[0] }
  var shape: Shape { [rows, width] }
  /// The operations of one of the two products.
  private var flops: Int { 2 * rows * weight1.shape.count }

  private func parts(of range: Range<Int>, atMost longest: Int) -> [Range<Int>] {
    let pieces = (range.count + longest - 1) / longest
    return (0..<pieces).map { piece in
      let part = blockRange(count: range.count, part: piece, of: pieces)
      return range.lowerBound + part.lowerBound..<range.lowerBound + part.upperBound
    }
  }

  private func matrix(_ x: Tensor) -> Tensor { x.reshaped([rows, x.shape.lastAxis]) }

  /// - Shapes: x [R, D]; saved [R, H] or nil for scratch; y [R, D]
  func forward(_ x: Tensor, saving saved: Tensor?, into y: Tensor) {
    let (x, y) = (matrix(x), matrix(y))
    OpClock.count(.elementwise, work: 2 * shape.count)  // GELU
    OpClock.measure(.linear, work: 2 * flops) {
      let (first, second) = (PreparedWeight(.forward, weight1.matrix), PreparedWeight(.forward, weight2.matrix))
      first.overRows(rows) { range in
        let scratch = Tensor(uninitialized: [min(rows, Self.forwardRows), width])  // of one size, for the pool
        for part in parts(of: range, atMost: Self.forwardRows) {
          let activated = scratch.rows(0..<part.count)
          let hidden = saved?.rows(part) ?? activated
          let all = 0..<part.count
          first.multiply(x.rows(part).pointer, rows: all, into: hidden.pointer, bias: bias1.value.pointer)
          OpClock.measure(.elementwise) { Kernels.gelu(hidden, into: activated, rows: all) }
          second.multiply(activated.pointer, rows: all, into: y.rows(part).pointer)
        }
      }
    }
  }

  /// Adds the gradients of the parameters and writes that of the input.
  ///
  /// - Shapes: dy [R, D]; hidden [R, H], which is overwritten; input [R, D], not needed for a frozen weight1; dx [R, D]
  func backward(_ dy: Tensor, overwriting hidden: Tensor, input: Tensor?, into dx: Tensor?) {
    let (dy, input, dx) = (matrix(dy), input.map(matrix), dx.map(matrix))
    let products = 1 + (weight2.isFrozen ? 0 : 1) + (input == nil ? 0 : 1) + (dx == nil ? 0 : 1)
    OpClock.count(.linear, work: products * flops)
    OpClock.count(.elementwise, work: 4 * shape.count)
    let second = PreparedWeight(.dataGradient, weight2.matrix)
    let first = dx == nil ? nil : PreparedWeight(.dataGradient, weight1.matrix)
    for part in parts(of: 0..<rows, atMost: max(Self.backwardFloats / width, 1)) {
      let (dy, hidden) = (dy.rows(part), hidden.rows(part))
      let gradient = Tensor(uninitialized: hidden.shape)
      second.multiply(dy.pointer, rows: part.count, into: gradient.pointer)  // of GELU's result
      OpClock.measure(.elementwise) {
        Kernels.geluBackward(overwriting: gradient, hidden, biasGradient: bias1.wantedGradient)
      }
      if !weight2.isFrozen { Matmul.weightGradient(dy, hidden, into: weight2.gradientMatrix) }
      if let input { Matmul.weightGradient(gradient, input.rows(part), into: weight1.gradientMatrix) }
      if let dx, let first { first.multiply(gradient.pointer, rows: part.count, into: dx.rows(part).pointer) }
    }
  }
}
