import Basics
import Messaging
import Parallelism

/// Times and losses since the last progress line.
struct MetricWindow {
  private var losses: [Double] = []
  private var times: [StepTimes] = []

  mutating func add(_ result: StepResult, _ step: StepTimes) {
    losses.append(result.loss)
    times.append(step)
  }

  var count: Int { times.count }
  var total: Double { times.reduce(0) { $0 + $1.total } }
  var meanLoss: Double { losses.reduce(0, +) / Double(max(losses.count, 1)) }

  func mean(_ part: KeyPath<StepTimes, Double>) -> Double {
    times.reduce(0) { $0 + $1[keyPath: part] } / Double(max(times.count, 1))
  }

  /// Minimum, mean and maximum over the ranks of the time before communication, and the slowest rank: all ranks wait
  /// for it, so the step time itself looks the same everywhere.
  ///
  /// - Collective: all ranks.
  func spread(_ communicator: Communicator) throws -> [(String, JSON)] {
    guard communicator.size > 1 else { return [] }
    let busy = mean(\.data) + mean(\.forward) + mean(\.backward)
    let spreads = try communicator.spreads(of: [1000 * busy, 1000 * mean(\.data)])
    let fields = zip(["busy_ms", "data_ms"], spreads).flatMap { name, spread in
      [
        ("\(name)_min", JSON.double(spread.minimum)), ("\(name)_mean", .double(spread.mean)),
        ("\(name)_max", .double(spread.maximum)),
      ]
    }
    return fields + [
      ("straggler", .int(spreads[0].maximumRank)),
      ("straggler_ratio", .double(spreads[0].maximum / max(spreads[0].mean, 1e-9))),
    ]
  }
}
