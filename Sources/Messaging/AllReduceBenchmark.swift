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
    /// The time in which every rank then reads all sums once: the median over repetitions of the slowest rank's.
    public let readMicroseconds: Double
  }

  /// The times of one size.
  public struct Timing: Equatable, Sendable {
    /// The size of the message on each rank.
    public let bytes: Int
    /// By `MPI_Allreduce`.
    public let mpi: Rate
    /// Copied through the window; nil when there is none.
    public let window: Compared?
    /// Where the values lie, in memory that the ranks of a node share, each sum to be read where it was added; nil
    /// when there is none.
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

  /// Sizes from 4 KiB to 64 MiB, the 25 MiB of a bucket of gradients, and 100 MB.
  public static let defaultSizes =
    stride(from: 12, through: 24, by: 2).map { 1 << $0 } + [25 << 20, 64 << 20, 100_000_000]

  private static let largePageBytes = 2 << 20
  private static let lineFloats = 16
  /// About a layer of a small model.
  private static let blockFloats = 1 << 16

  /// Sums `size` bytes of floats over all ranks, `repetitions` times on each route in turns, after one warm-up.
  ///
  /// Every route has an array of its own, so that none finds more of it in the caches than the others. Where a route
  /// needs no shared memory it lies in ordinary memory with large pages, which is the best there is: in shared memory
  /// `MPI_Allreduce` takes up to half as long again. Every rank writes the array anew before every sum, the last values
  /// first, as backward leaves gradients, and reads the sums after it.
  /// - Parameters:
  ///   - inPlace: whether to sum in place where the window is open. The same on all ranks.
  ///   - sizes: bytes, rounded down to whole floats, at least one.
  ///   - repetitions: at least 1, default 11.
  /// - Throws: as `Communicator.allReduceSum` and `Communicator.nodeMemory`.
  /// - Collective: all ranks, with the same arguments.
  public static func run(
    _ communicator: Communicator, inPlace: Bool = true, sizes: [Int] = defaultSizes, repetitions: Int = 11
  ) throws(Failure) -> [Timing] {
    precondition(repetitions > 0, "AllReduceBenchmark: \(repetitions) repetitions")
    let counts = sizes.map { max(1, $0 / MemoryLayout<Float>.size) }
    let bytes = (counts.max() ?? 0) * MemoryLayout<Float>.size
    let arrays = (0..<2).map { _ in UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: largePageBytes) }
    defer { for array in arrays { array.deallocate() } }
    for array in arrays { madvise(array, bytes, Int32(MADV_HUGEPAGE)) }
    let values = arrays.map { $0.assumingMemoryBound(to: Float.self) }
    var timings: [Timing] = []
    for count in counts {
      let routes = try routes(communicator, values, count, inPlace: inPlace)
      var times: [Way: [Seconds]] = [:]
      for repetition in 0...repetitions {
        for route in routes {
          writeBackwards(route.values, count)
          let seconds = try seconds(communicator, route, count)
          if repetition > 0 { times[route.way, default: []].append(seconds) }
        }
      }
      timings.append(timing(times, bytes: count * MemoryLayout<Float>.size))
    }
    return timings
  }

  private static func routes(
    _ communicator: Communicator, _ arrays: [UnsafeMutablePointer<Float>], _ count: Int, inPlace: Bool
  ) throws(Failure) -> [Route] {
    var routes = [
      Route(.mpi, arrays[0]) { communicator.startAllReduceSum(arrays[0], count, through: .mpi(reason: "measured")) }
    ]
    if communicator.allReduceRoute == .window {
      routes.append(Route(.window, arrays[1]) { communicator.startAllReduceSum(arrays[1], count, through: .window) })
    }
    if inPlace, let memory = try communicator.nodeMemory(parts: [0..<count]) {
      routes.append(
        Route(.inPlace, memory.floats, sums: memory.sums, reuse: { communicator.startReuse(memory) }) {
          communicator.startAllReduceSum(memory, 0..<count)
        })
    }
    return routes
  }

  private enum Way { case mpi, window, inPlace }

  private struct Route {
    let way: Way
    let values: UnsafeMutablePointer<Float>
    let sums: UnsafePointer<Float>
    /// Makes the values free to be written again.
    let reuse: () -> Request
    let begin: () -> Request

    init(
      _ way: Way, _ values: UnsafeMutablePointer<Float>, sums: UnsafePointer<Float>? = nil,
      reuse: @escaping () -> Request = { Request() }, begin: @escaping () -> Request
    ) {
      self.way = way
      self.values = values
      self.sums = sums ?? UnsafePointer(values)
      self.reuse = reuse
      self.begin = begin
    }
  }

  /// What the slowest rank took for a sum, and then to read it.
  private struct Seconds {
    let sum: Double
    let read: Double
  }

  private static func writeBackwards(_ values: UnsafeMutablePointer<Float>, _ count: Int) {
    for start in stride(from: 0, to: count, by: blockFloats).reversed() {
      (values + start).initialize(repeating: 1, count: min(blockFloats, count - start))
    }
  }

  private static func timing(_ times: [Way: [Seconds]], bytes: Int) -> Timing {
    let mpi = times[.mpi] ?? []
    func compared(_ way: Way) -> Compared? {
      times[way].map { Compared(rate: rate($0, bytes), ratio: ratio(mpi, $0)) }
    }
    return Timing(bytes: bytes, mpi: rate(mpi, bytes), window: compared(.window), inPlace: compared(.inPlace))
  }

  private static func ratio(_ slower: [Seconds], _ faster: [Seconds]) -> Ratio {
    let sorted = zip(slower, faster).map { $0.sum / $1.sum }.sorted()
    return Ratio(median: sorted[sorted.count / 2], least: sorted[0], largest: sorted[sorted.count - 1])
  }

  /// One sum, and one look at all of it.
  private static func seconds(_ communicator: Communicator, _ route: Route, _ count: Int) throws(Failure) -> Seconds {
    try communicator.barrier()
    let start = monotonicSeconds()
    try route.begin().wait()
    let middle = monotonicSeconds()
    let seen = oneOfEachLine(route.sums, count)
    let end = monotonicSeconds()
    // Every rank wrote ones; the check keeps the reading alive.
    let lines = UInt32(truncatingIfNeeded: (count + lineFloats - 1) / lineFloats)
    guard seen == lines &* Float(communicator.size).bitPattern else {
      throw Failure(.internalError, "a sum of \(communicator.size) ones was wrong", at: "bench allreduce")
    }
    try route.reuse().wait()
    let slowest = try communicator.allReduceMax([middle - start, end - middle])
    return Seconds(sum: max(slowest[0], 1e-9), read: slowest[1])
  }

  /// The bits of the first float of each cache line, added: all lines come to this core.
  private static func oneOfEachLine(_ values: UnsafePointer<Float>, _ count: Int) -> UInt32 {
    var seen: UInt32 = 0
    var place = 0
    while place < count {
      seen &+= values[place].bitPattern
      place += lineFloats
    }
    return seen
  }

  private static func rate(_ seconds: [Seconds], _ bytes: Int) -> Rate {
    let median = seconds.map(\.sum).sorted()[seconds.count / 2]
    return Rate(
      medianMicroseconds: median * 1e6, gigabytesPerSecond: Double(bytes) / median * 1e-9,
      readMicroseconds: seconds.map(\.read).sorted()[seconds.count / 2] * 1e6)
  }
}
