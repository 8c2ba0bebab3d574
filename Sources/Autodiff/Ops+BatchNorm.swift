import Basics
import Tensors

// V views of n rows each on this rank, C columns.

/// What BatchNorm found in one view over all ranks.
public struct BatchStatistics {
  /// The mean of each column. [C]
  public let mean: Tensor
  /// The biased variance of each column. [C]
  public let variance: Tensor
  /// The rows of all ranks.
  public let count: Int

  /// From the sums of each column and of its squares; both in double, since their difference may be small.
  fileprivate init(sums: ArraySlice<Double>, squares: ArraySlice<Double>, count: Double) {
    precondition(count > 1, "batchNorm: \(count) rows on all ranks together have no variance")
    let means = sums.map { $0 / count }
    mean = Tensor(means.map { Float($0) }, [means.count])
    variance = Tensor(
      zip(means, squares).map { mean, square in Float(max(square / count - mean * mean, 0)) }, [means.count])
    self.count = Int(count)
  }
}

/// BatchNorm over the rows of all ranks: (x - mean) / sqrt(variance + eps) * weight + bias, each view with statistics of
/// its own.
///
/// All views travel in one message forward, (sum, sum of squares, rows), and in one backward, (sum of dy, sum of dy x^);
/// sums are in double.
/// - Shapes: views [n, C], n may differ between ranks and be 0; weight, bias [C] -> V times [n, C]
/// - Parameters:
///   - rectified: ReLU of the result, in the same pass.
///   - ranks: over whom statistics are taken. Weight and bias get the gradient of this rank's rows, since gradients of
///     parameters are summed over ranks anyway.
/// - Returns: the outputs, and the statistics of each view with its biased variance.
/// - Collective: all ranks of `ranks`, forward and, where a gradient is wanted, backward.
/// - Gradient: to the views, weight and bias, through the statistics.
/// - Memory: keeps the views; with `rectified` also the outputs, which whoever takes them keeps too.
/// - Source: Ioffe and Szegedy, 2015; spec mae-ct 3.
public func batchNorm(
  _ views: [Variable], weight: Parameter, bias: Parameter, eps: Float = 1e-5, rectified: Bool = false,
  over ranks: RankSum
) -> (outputs: [Variable], statistics: [BatchStatistics]) {
  let width = weight.shape.count
  precondition(
    bias.shape.count == width && views.allSatisfy { $0.shape.lastAxis == width },
    "batchNorm: views \(views.map { $0.shape.description }), weight \(weight.shape), bias \(bias.shape)")
  let statistics = statistics(of: views, width, over: ranks)
  let normed = zip(views, statistics).map {
    NormedView($0, mean: $1.mean, variance: $1.variance, weight, bias, eps: eps, rectified: rectified)
  }
  let outputs = record(normed.map(\.y), from: views, using: [weight, bias], as: .normalisation) { gradients in
    let gradients = zip(gradients, normed).map { $1.normedGradient($0 ?? Tensor(zeros: $1.y.shape)) }
    var message = [Double](repeating: 0, count: views.count * 2 * width)
    message.withUnsafeMutableBufferPointer { sums in
      for (index, (view, dy)) in zip(normed, gradients).enumerated() {
        view.addSums(dy, to: sums.baseAddress.unsafelyUnwrapped + index * 2 * width, width)
      }
    }
    addToGradients(of: weight, bias, message)
    ranks(&message)
    return normed.indices.map { index in
      let sums = message[index * 2 * width..<(index + 1) * 2 * width]
      return normed[index].inputGradient(gradients[index], sums: sums, count: statistics[index].count)
    }
  }
  return (outputs, statistics)
}

/// BatchNorm with given statistics, as a trained model is used.
///
/// - Shapes: x [n, C]; mean, variance, weight, bias [C] -> [n, C]
/// - Gradient: to x, weight and bias; the statistics are constants.
public func batchNorm(
  _ x: Variable, mean: Tensor, variance: Tensor, weight: Parameter, bias: Parameter, eps: Float = 1e-5,
  rectified: Bool = false
) -> Variable {
  let width = weight.shape.count
  let view = NormedView(x, mean: mean, variance: variance, weight, bias, eps: eps, rectified: rectified)
  return record(view.y, from: [x], using: [weight, bias], as: .normalisation) { dy in
    let dy = view.normedGradient(dy)
    var sums = [Double](repeating: 0, count: 2 * width)
    sums.withUnsafeMutableBufferPointer { view.addSums(dy, to: $0.baseAddress.unsafelyUnwrapped, width) }
    addToGradients(of: weight, bias, sums)
    let none = [Double](repeating: 0, count: 2 * width)
    return [view.inputGradient(dy, sums: none[...], count: 1)]
  }
}

private func statistics(of views: [Variable], _ width: Int, over ranks: RankSum) -> [BatchStatistics] {
  // For each view: sums [C], sums of squares [C], rows.
  let stride = 2 * width + 1
  var message = [Double](repeating: 0, count: views.count * stride)
  OpClock.measure(.normalisation, work: views.reduce(0) { $0 + $1.shape.count }) {
    message.withUnsafeMutableBufferPointer { buffer in
      for (index, view) in views.enumerated() {
        let sums = buffer.baseAddress.unsafelyUnwrapped + index * stride
        Kernels.addColumnMoments(of: view.value, to: sums, squares: sums + width)
        sums[2 * width] = Double(view.shape.leading)
      }
    }
  }
  ranks(&message)
  return views.indices.map { index in
    let start = index * stride
    return BatchStatistics(
      sums: message[start..<start + width], squares: message[start + width..<start + 2 * width],
      count: message[start + 2 * width])
  }
}

/// Adds the sums over this rank's rows, view by view (sum of dy, sum of dy x^), to the gradients of bias and weight.
private func addToGradients(of weight: Parameter, _ bias: Parameter, _ sums: [Double]) {
  let width = weight.shape.count
  for (gradient, offset) in [(bias.wantedGradient, 0), (weight.wantedGradient, width)] {
    guard let gradient = gradient?.pointer else { continue }
    for c in 0..<width {
      let total = stride(from: offset + c, to: sums.count, by: 2 * width).reduce(0.0) { $0 + sums[$1] }
      gradient[c] += Float(total)
    }
  }
}

/// One view under BatchNorm with the statistics that it is normalised by.
private struct NormedView {
  let y: Tensor
  private let x: KeptValue
  private let mean: Tensor
  private let rstd: Tensor
  private let weight: Parameter
  private let rectified: Bool

  init(
    _ view: Variable, mean: Tensor, variance: Tensor, _ weight: Parameter, _ bias: Parameter, eps: Float,
    rectified: Bool
  ) {
    x = view.kept
    y = Tensor(uninitialized: view.shape)
    self.mean = mean
    rstd = Tensor(variance.array.map { Float(1 / (Double($0) + Double(eps)).squareRoot()) }, variance.shape)
    self.weight = weight
    self.rectified = rectified
    OpClock.measure(.normalisation, work: 2 * y.count) {
      Kernels.batchNorm(
        view.value, mean: mean, rstd: rstd, weight: weight.value, bias: bias.value,
        floor: rectified ? 0 : -.infinity, into: y)
    }
  }

  /// The gradient before ReLU.
  func normedGradient(_ dy: Tensor) -> Tensor {
    guard rectified else { return dy }
    OpClock.count(.normalisation, work: 3 * dy.count)
    let passed = Tensor(uninitialized: dy.shape)
    Kernels.rectifierBackward(dy, y: y, into: passed)
    return passed
  }

  /// Adds sum of dy and sum of dy x^ of this rank's rows: [C] and [C]. This dy and the one below are before ReLU.
  func addSums(_ dy: Tensor, to sums: UnsafeMutablePointer<Double>, _ width: Int) {
    OpClock.count(.normalisation, work: 2 * dy.count)
    Kernels.addBatchNormSums(dy, x: x.value, mean: mean, rstd: rstd, to: sums, products: sums + width)
  }

  /// The gradient of the view, from the same sums over the `count` rows of all ranks.
  func inputGradient(_ dy: Tensor, sums: ArraySlice<Double>, count: Int) -> Tensor {
    OpClock.count(.normalisation, work: 3 * dy.count)
    let means = sums.map { Float($0 / Double(count)) }
    let width = means.count / 2
    let dx = Tensor(uninitialized: dy.shape)
    Kernels.batchNormBackward(
      dy, x: x.value, mean: mean, rstd: rstd, weight: weight.value,
      meanGradient: Tensor(Array(means[..<width]), [width]), meanProduct: Tensor(Array(means[width...]), [width]),
      into: dx)
    return dx
  }
}
