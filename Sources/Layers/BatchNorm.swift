import Autodiff
import Tensors

/// The averages over steps that a trained BatchNorm uses instead of a batch's own statistics. No gradient goes there.
public final class RunningStatistics {
  /// [C], starts at 0.
  public let mean: Tensor
  /// [C], unbiased, starts at 1.
  public let variance: Tensor
  /// How many batches were seen, one for each view.
  public let updates = IntegerBlock(repeating: 0, count: 1)

  /// What views brought since the last `settle`.
  private var waiting: [BatchStatistics] = []

  /// The weight of a new batch.
  private static let momentum = 0.1

  init(width: Int) {
    mean = Tensor(zeros: [width])
    variance = Tensor(repeating: 1, [width])
  }

  /// Keeps the statistics of one view until `settle`.
  func add(_ batch: BatchStatistics) { waiting.append(batch) }

  /// Takes in what waits, in its order.
  func settle() {
    waiting.forEach(takeIn)
    waiting = []
  }

  private func takeIn(_ batch: BatchStatistics) {
    let unbiased = Double(batch.count) / Double(batch.count - 1)
    for (running, new, factor) in [(mean, batch.mean, 1), (variance, batch.variance, unbiased)] {
      let (running, new) = (running.pointer, new.pointer)
      for c in 0..<mean.count {
        running[c] = Float((1 - Self.momentum) * Double(running[c]) + Self.momentum * factor * Double(new[c]))
      }
    }
    updates[0] += 1
  }

  func copy(from other: RunningStatistics) {
    mean.assign(other.mean)
    variance.assign(other.variance)
    updates[0] = other.updates[0]
  }
}

/// A BatchNorm over the rows of all ranks, each view with statistics of its own.
///
/// - Source: spec mae-ct section 3: eps 1e-5, momentum 0.1, biased variance to normalise, unbiased for the buffers.
public struct BatchNorm {
  /// [width], starts at 1.
  public let weight: Parameter
  /// [width], starts at 0.
  public let bias: Parameter
  /// What `evaluated` uses; shared by copies of this value.
  public let running: RunningStatistics
  private let path: String

  /// Declares `name.weight` and `name.bias`.
  public init(_ name: String, width: Int, _ builder: ModelBuilder) {
    (weight, bias) = builder.scope(name) {
      (builder.parameter("weight", [width], .ones), builder.parameter("bias", [width], .zeros))
    }
    running = RunningStatistics(width: width)
    path = String(weight.name.dropLast(".weight".count))
  }

  /// Normalises with the batch's own statistics over all ranks.
  ///
  /// - Shapes: views [n, C] -> views [n, C].
  /// - Parameters:
  ///   - rectified: ReLU of the result.
  ///   - tracks: whether the running statistics are to take in each view, in their order; `running.settle()` does it.
  /// - Collective: all ranks of `ranks`, forward and backward.
  public func callAsFunction(
    _ views: [Variable], rectified: Bool = false, over ranks: RankSum, tracks: Bool = true
  ) -> [Variable] {
    let (outputs, statistics) = batchNorm(views, weight: weight, bias: bias, rectified: rectified, over: ranks)
    if tracks { statistics.forEach(running.add) }
    return outputs
  }

  /// Normalises with the running statistics.
  ///
  /// - Shapes: x [n, C] -> [n, C].
  /// - Gradient: to x, weight and bias.
  public func evaluated(_ x: Variable, rectified: Bool = false) -> Variable {
    batchNorm(
      x, mean: running.mean, variance: running.variance, weight: weight, bias: bias, rectified: rectified)
  }

  /// The running statistics as `PREFIX/NAME.running_mean`, `.running_var` and `.num_batches_tracked`.
  public func buffers(_ prefix: String) -> [NamedState] {
    [
      NamedState("\(prefix)/\(path).running_mean", running.mean),
      NamedState("\(prefix)/\(path).running_var", running.variance),
      NamedState("\(prefix)/\(path).num_batches_tracked", running.updates),
    ]
  }
}
