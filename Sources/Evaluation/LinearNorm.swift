import Basics
import Tensors

/// The BatchNorm without weights that stands before linear heads: batch statistics to learn, running ones to measure.
///
/// It stands behind the frozen features, so all heads share one: it has no gradient and sees the same rows for each.
///
/// - Source: spec/evaluation.md 1.5: biased variance to normalise, running <- 0.9 running + 0.1 batch, unbiased there.
final class LinearNorm {
  private let eps: Double
  /// [D], starts at 0.
  let mean: Tensor
  /// [D], unbiased, starts at 1.
  let variance: Tensor
  private let ones: Tensor, zeros: Tensor

  private static let momentum = 0.1

  init(width: Int, eps: Double) {
    self.eps = eps
    mean = Tensor(zeros: [width])
    variance = Tensor(repeating: 1, [width])
    ones = Tensor(repeating: 1, [width])
    zeros = Tensor(zeros: [width])
  }

  /// Normalises a whole batch with its own statistics, which the running ones then follow.
  ///
  /// - Shapes: x [B, D], B > 1 -> [B, D]
  func learned(_ x: Tensor) -> Tensor {
    let (rows, width) = (x.shape.leading, mean.count)
    precondition(rows > 1, "LinearNorm: the statistics of one row")
    var sums = [Double](repeating: 0, count: width)
    var squares = sums
    sums.withUnsafeMutableBufferPointer { sums in
      squares.withUnsafeMutableBufferPointer { squares in
        guard let sums = sums.baseAddress, let squares = squares.baseAddress else { return }
        Kernels.addColumnMoments(of: x, to: sums, squares: squares)
      }
    }
    let (count, keep) = (Double(rows), 1 - LinearNorm.momentum)
    let (batchMean, rstd) = (Tensor(uninitialized: [width]), Tensor(uninitialized: [width]))
    for c in 0..<width {
      let m = sums[c] / count
      let v = max(squares[c] / count - m * m, 0)
      batchMean.pointer[c] = Float(m)
      rstd.pointer[c] = Float(1 / (v + eps).squareRoot())
      mean.pointer[c] = Float(keep * Double(mean.pointer[c]) + LinearNorm.momentum * m)
      variance.pointer[c] = Float(keep * Double(variance.pointer[c]) + LinearNorm.momentum * v * count / (count - 1))
    }
    return normalised(x, mean: batchMean, rstd: rstd)
  }

  /// Normalises rows with the running statistics.
  ///
  /// - Shapes: x [R, D] -> [R, D]
  func measured(_ x: Tensor) -> Tensor {
    let rstd = Tensor(variance.array.map { Float(1 / (Double($0) + eps).squareRoot()) }, variance.shape)
    return normalised(x, mean: mean, rstd: rstd)
  }

  private func normalised(_ x: Tensor, mean: Tensor, rstd: Tensor) -> Tensor {
    let y = Tensor(uninitialized: x.shape)
    Kernels.batchNorm(x, mean: mean, rstd: rstd, weight: ones, bias: zeros, floor: -.infinity, into: y)
    return y
  }
}
