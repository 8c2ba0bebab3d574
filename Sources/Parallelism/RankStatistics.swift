import Basics
import Messaging

/// A measured value over all ranks.
public struct RankSpread: Equatable, Sendable {
  /// The smallest value.
  public let minimum: Double
  /// The mean over ranks.
  public let mean: Double
  /// The largest value.
  public let maximum: Double
  /// The lowest rank that has the largest value: the slowest one when the value is a time.
  public let maximumRank: Int

  /// Makes a spread.
  public init(minimum: Double, mean: Double, maximum: Double, maximumRank: Int) {
    self.minimum = minimum
    self.mean = mean
    self.maximum = maximum
    self.maximumRank = maximumRank
  }
}

extension Communicator {
  /// Means over all samples of the global batch, from each rank's means over its own block.
  /// - Parameters:
  ///   - means: this rank's means.
  ///   - weight: the number of samples behind them; blocks may differ in size.
  /// - Collective: all ranks, with the same number of means.
  public func globalMeans(_ means: [Double], weight: Int) throws(Failure) -> [Double] {
    // A block without samples has no mean to speak of (0 / 0): it adds nothing.
    let weighted = means.map { weight == 0 ? 0 : $0 * Double(weight) }
    let sums = try allReduceSum(weighted + [Double(weight)])
    let total = sums[means.count]
    return sums.dropLast().map { $0 / total }
  }

  /// How measured values vary over the ranks.
  /// - Collective: all ranks, with the same number of values.
  public func spreads(of values: [Double]) throws(Failure) -> [RankSpread] {
    let bytes = values.withUnsafeBytes { Array($0) }
    let all = try allGather(bytes).map { part in
      part.withUnsafeBytes { raw in
        (0..<values.count).map { raw.loadUnaligned(fromByteOffset: $0 * MemoryLayout<Double>.size, as: Double.self) }
      }
    }
    return values.indices.map { index in
      let column = all.map { $0[index] }
      let maximum = column.max() ?? .nan
      return RankSpread(
        minimum: column.min() ?? .nan, mean: column.reduce(0, +) / Double(column.count), maximum: maximum,
        maximumRank: column.firstIndex(of: maximum) ?? 0)
    }
  }
}
