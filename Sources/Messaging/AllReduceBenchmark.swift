import Basics
import Glibc

/// Times sums over message sizes on every route, in turns, for `sslmpi bench allreduce`.
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
    /// Copied through the window; nil when there is none.
    public let window: Compared?
    /// Where the values lie, in memory that the ranks of a node share; nil when there is none.
    public let inPlace: Compared?
  }

  /// The time of one route beside that of `MPI_Allreduce`.
  public struct Compared: Equatable, Sendable {
    /// The time.
    public let rate: Rate
    /// How many times faster than `MPI_Allreduce` it is.
    public let ratio: Ratio
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
  /// About a layer of a small model.
  private static let blockFloats = 1 << 16

  /// Sums `size` bytes of floats over all ranks, `repetitions` times on each route in turns, after one warm-up.
  ///
  /// Sums in place have an array of their own in `memory`; the other routes share one in ordinary memory with large
  /// pages, which is the best there is for them: in shared memory `MPI_Allreduce` takes up to half as long again. Every
  /// rank writes the array anew before every sum, the last values first, as backward leaves gradients.
  /// - Parameters:
  ///   - memory: for sums in place, with room for the largest size; nil leaves them out. The same on all ranks.
  ///   - sizes: bytes, rounded down to whole floats, at least one.
  ///   - repetitions: at least 1, default 11.
  /// - Throws: as `Communicator.allReduceSum`.
  /// - Collective: all ranks, with the same arguments.
  public static func run(
    _ communicator: Communicator, memory: NodeMemory? = nil, sizes: [Int] = defaultSizes, repetitions: Int = 11
  ) throws(Failure) -> [Timing] {
    precondition(repetitions > 0, "AllReduceBenchmark: \(repetitions) repetitions")
    let counts = sizes.map { max(1, $0 / MemoryLayout<Float>.size) }
    let bytes = (counts.max() ?? 0) * MemoryLayout<Float>.size
    let block = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: largePageBytes)
    defer { block.deallocate() }
    madvise(block, bytes, Int32(MADV_HUGEPAGE))
    let values = block.assumingMemoryBound(to: Float.self)
    var timings: [Timing] = []
    for count in counts {
      var routes: [(way: Way, values: UnsafeMutablePointer<Float>, begin: () -> Request)] = [
        (.mpi, values, { communicator.startAllReduceSum(values, count, through: .mpi(reason: "measured")) })
      ]
      if communicator.allReduceRoute == .window {
        routes.append((.window, values, { communicator.startAllReduceSum(values, count, through: .window) }))
      }
      if let memory { routes.append((.inPlace, memory.floats, { communicator.startAllReduceSum(memory, 0..<count) })) }
      var times: [Way: [Double]] = [:]
      for repetition in 0...repetitions {
        for route in routes {
          writeBackwards(route.values, count)
          let seconds = try seconds(communicator, route.begin)
          if repetition > 0 { times[route.way, default: []].append(seconds) }
        }
      }
      timings.append(timing(times, bytes: count * MemoryLayout<Float>.size))
    }
    return timings
  }

  private enum Way { case mpi, window, inPlace }

  private static func writeBackwards(_ values: UnsafeMutablePointer<Float>, _ count: Int) {
    for start in stride(from: 0, to: count, by: blockFloats).reversed() {
      (values + start).initialize(repeating: 1, count: min(blockFloats, count - start))
    }
  }

  private static func timing(_ times: [Way: [Double]], bytes: Int) -> Timing {
    let mpi = times[.mpi] ?? []
    func compared(_ way: Way) -> Compared? {
      times[way].map { Compared(rate: rate($0, bytes), ratio: ratio(mpi, $0)) }
    }
    return Timing(bytes: bytes, mpi: rate(mpi, bytes), window: compared(.window), inPlace: compared(.inPlace))
  }

  private static func ratio(_ slower: [Double], _ faster: [Double]) -> Ratio {
    let sorted = zip(slower, faster).map { $0 / $1 }.sorted()
    return Ratio(median: sorted[sorted.count / 2], least: sorted[0], largest: sorted[sorted.count - 1])
  }

  /// The slowest rank's time for one sum.
  private static func seconds(_ communicator: Communicator, _ begin: () -> Request) throws(Failure) -> Double {
    try communicator.barrier()
    let start = monotonicSeconds()
    try begin().wait()
    return max(try communicator.allReduceMax([monotonicSeconds() - start])[0], 1e-9)
  }

  private static func rate(_ seconds: [Double], _ bytes: Int) -> Rate {
    let median = seconds.sorted()[seconds.count / 2]
    return Rate(medianMicroseconds: median * 1e6, gigabytesPerSecond: Double(bytes) / median * 1e-9)
  }
}
