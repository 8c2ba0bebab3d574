import Basics
import Tensors

// B images of all ranks, n of this one, d width.

/// Symmetric InfoNCE between the two views of a batch, with neighbours in the place of one of them.
///
/// 1/2 [mean_i CE(S01_i, i) + mean_i CE(S10_i, i)], S01 = N_0 P_1ᵀ / temperature, S10 = N_1 P_0ᵀ / temperature: rows are
/// neighbours, columns the predictions of the other view from all ranks. Every rank evaluates the whole loss on gathered
/// rows and takes the gradient of its own predictions alone, whichever rank's neighbours meet them; so the gathering
/// needs no backward pass, and gradients of parameters, summed over ranks, are those of the whole batch.
/// - Shapes: own, two times [n, d], rows of length 1; predictions and neighbours, two times [B, d] -> scalar
/// - Units: nats.
/// - Parameters:
///   - own: this rank's predictions of both views: rows `first` ..< `first` + n of `predictions`.
///   - gradientScale: multiplies the gradient. The trainer weighs a rank's loss by local over global batch and sums;
///     this loss is the global one on every rank, so global over local batch undoes the weight.
/// - Returns: the loss of the global batch, the same bits on every rank that has the same rows.
/// - Gradient: to `own`; neighbours are constants.
/// - Source: Lehner et al., 2023 (MAE-CT); Dwibedi et al., 2021 (NNCLR); spec mae-ct 3.3, 3.4.
public func nnclrLoss(
  own: (Variable, Variable), first: Int, predictions: (Tensor, Tensor), neighbours: (Tensor, Tensor),
  temperature: Float, gradientScale: Float
) -> Variable {
  let (batch, rows) = (predictions.0.shape.leading, own.0.shape.leading)
  precondition(
    [predictions.1, neighbours.0, neighbours.1].allSatisfy { $0.shape == predictions.0.shape }
      && own.0.shape == own.1.shape && own.0.shape.lastAxis == predictions.0.shape.lastAxis
      && first >= 0 && first + rows <= batch && temperature > 0,
    "nnclrLoss: own \(own.0.shape) and \(own.1.shape) at \(first), predictions \(predictions.0.shape) and "
      + "\(predictions.1.shape), neighbours \(neighbours.0.shape) and \(neighbours.1.shape), \(temperature)")
  let range = first..<first + rows
  // Neighbours of one view meet predictions of the other.
  let directions = [
    ContrastDirection(neighbours.1, predictions.0, own: range, temperature: temperature),
    ContrastDirection(neighbours.0, predictions.1, own: range, temperature: temperature),
  ]
  let total = directions.reduce(0) { $0 + $1.sum }
  return record(scalar(total / Double(2 * batch)), from: [own.0, own.1], as: .linear) { dy in
    let scale = Double(dy.item) * Double(gradientScale) / Double(2 * batch)
    return directions.map { $0.gradient(scale: Float(scale)) }
  }
}

/// One direction of the loss: the neighbours of one view against the predictions of the other.
private struct ContrastDirection {
  /// The cross-entropy summed over all rows.
  let sum: Double
  private let neighbours: Tensor  // [B, d], over the temperature
  private let logits: Tensor  // [B, n]: columns of own predictions
  private let logSums: Tensor  // [B]
  private let own: Range<Int>

  /// Rows of logits at a time, so that not all of [B, B] is held.
  private static let block = 256

  /// - Shapes: neighbours, predictions [B, d].
  init(_ neighbours: Tensor, _ predictions: Tensor, own: Range<Int>, temperature: Float) {
    let batch = predictions.shape.leading
    let scaled = Tensor(uninitialized: neighbours.shape)
    let columns = Tensor(uninitialized: [batch, own.count])
    let logSums = Tensor(uninitialized: [batch])
    OpClock.measure(.elementwise, work: 2 * neighbours.count) {
      Kernels.scale(neighbours, by: 1 / temperature, into: scaled)
    }
    var sum = 0.0
    for start in stride(from: 0, to: batch, by: Self.block) {
      let rows = start..<min(start + Self.block, batch)
      let logits = Tensor(uninitialized: [rows.count, batch])  // [b, B]
      OpClock.measure(.linear, work: 2 * rows.count * predictions.count) {
        Matmul.forward(scaled.rows(rows), predictions, into: logits)
      }
      OpClock.measure(.elementwise, work: logits.count + 2 * rows.count * own.count) {
        sum += Kernels.crossEntropy(logits, .labels(rows.map { Int32($0) }), logSums: logSums.rows(rows))
        Kernels.copyBlock(
          logits.pointer + own.lowerBound, stride: batch, into: columns.rows(rows).pointer, stride: own.count,
          rows: rows.count, width: own.count)
      }
    }
    (self.sum, self.neighbours, self.logits, self.logSums, self.own) = (sum, scaled, columns, logSums, own)
  }

  /// scale / temperature (softmax - 1)ᵀ N for the columns of own predictions. Overwrites the logits: to be called once.
  ///
  /// - Shapes: -> [n, d]
  func gradient(scale: Float) -> Tensor {
    let (batch, count) = (neighbours.shape.leading, own.count)
    let dp = Tensor(uninitialized: [count, neighbours.shape.lastAxis])
    OpClock.measure(.elementwise, work: 2 * logits.count) {
      Kernels.softmaxAgain(
        logits.pointer, stride: count, scale: 1, logSums: logSums.pointer, rows: batch, width: count)
      for column in 0..<count { logits.pointer[(own.lowerBound + column) * count + column] -= 1 }
    }
    OpClock.count(.linear, work: 2 * logits.count * neighbours.shape.lastAxis)
    Matmul.weightGradient(logits, neighbours, into: dp, accumulate: false)
    Kernels.scale(dp, by: scale, into: dp)
    return dp
  }
}
