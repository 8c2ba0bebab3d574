import Basics

/// Times all-reduce over message sizes, for `sslmpi bench allreduce`.
public enum AllReduceBenchmark {
  /// The times of one size.
  public struct Timing: Equatable, Sendable {
    /// The size of the message on each rank.
    public let bytes: Int
    /// The median over repetitions of the slowest rank's time.
    public let medianMicroseconds: Double
    /// Message bytes over the median time.
    public let gigabytesPerSecond: Double
    /// The same times 2 (n - 1) / n: what the slowest link carries, comparable between rank counts.
    public let busGigabytesPerSecond: Double
  }

  /// Sizes from 4 KiB to 64 MiB.
  public static let defaultSizes = stride(from: 12, through: 26, by: 2).map { 1 << $0 }

  /// Sums `size` bytes of floats over all ranks, `repetitions` times for each size after one warm-up.
  /// - Parameters:
  ///   - sizes: bytes, rounded down to whole floats, at least one.
  ///   - repetitions: at least 1, default 11.
  /// - Throws: as `Communicator.allReduceSum`.
  /// - Collective: all ranks, with the same arguments.
  public static func run(
    _ communicator: Communicator, sizes: [Int] = defaultSizes, repetitions: Int = 11
  ) throws(Failure) -> [Timing] {
    precondition(repetitions > 0, "AllReduceBenchmark: \(repetitions) repetitions")
    var timings: [Timing] = []
    for size in sizes {
      let count = max(1, size / MemoryLayout<Float>.size)
      timings.append(try time(communicator, count: count, repetitions: repetitions))
    }
    return timings
  }

  private static func time(_ communicator: Communicator, count: Int, repetitions: Int) throws(Failure) -> Timing {
    let values = UnsafeMutablePointer<Float>.allocate(capacity: count)
    defer { values.deallocate() }
    values.initialize(repeating: 0, count: count)
    var seconds: [Double] = []
    for repetition in 0...repetitions {
      try communicator.barrier()
      let start = monotonicSeconds()
      try communicator.allReduceSum(values, count)
      let slowest = try communicator.allReduceMax([monotonicSeconds() - start])
      if repetition > 0 { seconds.append(slowest[0]) }
    }
    seconds.sort()
    let median = max(seconds[seconds.count / 2], 1e-9)
    let bytes = count * MemoryLayout<Float>.size
    let rate = Double(bytes) / median * 1e-9
    let ranks = Double(communicator.size)
    return Timing(
      bytes: bytes, medianMicroseconds: median * 1e6, gigabytesPerSecond: rate,
      busGigabytesPerSecond: rate * 2 * (ranks - 1) / ranks)
  }
}
