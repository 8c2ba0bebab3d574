import Basics
import Glibc

/// Times sums over message sizes on both routes, in turns, for `sslmpi bench allreduce`.
public enum AllReduceBenchmark {
  /// The time of one route at one size.
  public struct Rate: Equatable, Sendable {
    /// The median over repetitions of the slowest rank's time.
    public let medianMicroseconds: Double
    /// Message bytes over the median time.
    public let gigabytesPerSecond: Double
  }

  /// The times of one size.
  public struct Timing: Equatable, Sendable {
    /// The size of the message on each rank.
    public let bytes: Int
    /// By `MPI_Allreduce`.
    public let mpi: Rate
    /// Through the window; nil when there is none.
    public let window: Rate?
    /// How many times faster the window is; nil when there is none.
    public let ratio: Ratio?
  }

  /// The ratio of two times that were taken one after the other, over repetitions.
  public struct Ratio: Equatable, Sendable {
    /// The one in the middle.
    public let median: Double
    /// The smallest.
    public let least: Double
    /// The largest.
    public let largest: Double
  }

  /// Sizes from 4 KiB to 64 MiB, and 100 MB.
  public static let defaultSizes = stride(from: 12, through: 26, by: 2).map { 1 << $0 } + [100_000_000]

  private static let largePageBytes = 2 << 20

  /// Sums `size` bytes of floats over all ranks, `repetitions` times on each route in turns, after one warm-up.
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
    let bytes = count * MemoryLayout<Float>.size
    // Large pages, as gradients have them.
    let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: largePageBytes)
    defer { memory.deallocate() }
    madvise(memory, bytes, Int32(MADV_HUGEPAGE))
    let values = memory.bindMemory(to: Float.self, capacity: count)
    values.initialize(repeating: 0, count: count)
    let hasWindow = communicator.allReduceRoute == .window
    var mpi: [Double] = []
    var window: [Double] = []
    for repetition in 0...repetitions {
      let first = try seconds(communicator, values, count, through: .mpi(reason: "measured"))
      let second = hasWindow ? try seconds(communicator, values, count, through: .window) : nil
      guard repetition > 0 else { continue }
      mpi.append(first)
      if let second { window.append(second) }
    }
    return Timing(
      bytes: bytes, mpi: rate(mpi, bytes), window: hasWindow ? rate(window, bytes) : nil,
      ratio: hasWindow ? ratio(mpi, window) : nil)
  }

  private static func ratio(_ slower: [Double], _ faster: [Double]) -> Ratio {
    let sorted = zip(slower, faster).map { $0 / $1 }.sorted()
    return Ratio(median: sorted[sorted.count / 2], least: sorted[0], largest: sorted[sorted.count - 1])
  }

  /// The slowest rank's time for one sum.
  private static func seconds(
    _ communicator: Communicator, _ values: UnsafeMutablePointer<Float>, _ count: Int, through route: AllReduceRoute
  ) throws(Failure) -> Double {
    try communicator.barrier()
    let start = monotonicSeconds()
    try communicator.startAllReduceSum(values, count, through: route).wait()
    return max(try communicator.allReduceMax([monotonicSeconds() - start])[0], 1e-9)
  }

  private static func rate(_ seconds: [Double], _ bytes: Int) -> Rate {
    let median = seconds.sorted()[seconds.count / 2]
    return Rate(medianMicroseconds: median * 1e6, gigabytesPerSecond: Double(bytes) / median * 1e-9)
  }
}
