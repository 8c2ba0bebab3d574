import ArgumentParser
import Basics
import Messaging
import Training

extension BenchCommand {
  /// `sslmpi bench allreduce`
  struct AllReduce: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "allreduce",
      abstract: "Sums over all ranks, 4 KiB to 100 MB: through shared memory beside MPI_Allreduce, in turns.",
      discussion: """
        window: the values are copied into shared memory and back. in place: they lie in it, as gradients do.
        mpirun -n 2 sslmpi bench allreduce
        """)

    @Option(help: "Repetitions of each size.") var repetitions = 11
    @Flag(help: "One JSON object.") var json = false

    func validate() throws { try requirePositive([("--repetitions", repetitions)]) }

    func run() throws {
      try Session.run { world in
        let communicator = world.communicator
        let route = try communicator.chooseAllReduce(.auto)
        let (memory, obstacle) = try Self.memory(communicator)
        let timings = try AllReduceBenchmark.run(communicator, memory: memory, repetitions: repetitions)
        Output.result(
          json
            ? JSON.object([
              ("ranks", .int(communicator.size)), ("nodes", .int(communicator.node.count)),
              ("window", .bool(route == .window)), ("in_place", .bool(memory != nil)),
              ("sizes", .array(timings.map(record))),
            ]).line
            : table(timings))
        if case .mpi(let reason) = route { Output.message("no window: \(reason)") }
        if let obstacle { Output.message("nothing in place: \(obstacle)") }
        return .done
      }.end()
    }

    /// Memory for the largest size, or why there is none.
    private static func memory(_ communicator: Communicator) throws(Failure) -> (NodeMemory?, obstacle: String?) {
      let largest = AllReduceBenchmark.defaultSizes.max() ?? 0
      do throws(Failure) {
        return (try communicator.nodeMemory(floats: largest / MemoryLayout<Float>.size), nil)
      } catch {
        guard error.code == .unavailable else { throw error }
        return (nil, error.what)
      }
    }

    private func record(_ timing: AllReduceBenchmark.Timing) -> JSON {
      .object(
        [
          ("bytes", .int(timing.bytes)), ("mpi_us", .double(timing.mpi.medianMicroseconds)),
          ("mpi_gb_per_s", .double(timing.mpi.gigabytesPerSecond)),
        ] + fields(timing.window, time: "window", ratio: "ratio")
          + fields(timing.inPlace, time: "in_place", ratio: "in_place_ratio"))
    }

    private func fields(_ route: AllReduceBenchmark.Compared?, time: String, ratio: String) -> [(String, JSON)] {
      guard let route else { return [] }
      return [
        ("\(time)_us", .double(route.rate.medianMicroseconds)),
        ("\(time)_gb_per_s", .double(route.rate.gigabytesPerSecond)), (ratio, .double(route.ratio.median)),
        ("\(ratio)_min", .double(route.ratio.least)), ("\(ratio)_max", .double(route.ratio.largest)),
      ]
    }

    private func table(_ timings: [AllReduceBenchmark.Timing]) -> String {
      let widths = [12, 12, 10, 12, 10, 22, 14, 10, 22]
      let rows = timings.map { timing in
        ["\(timing.bytes)", rounded(timing.mpi.medianMicroseconds), rounded(timing.mpi.gigabytesPerSecond)]
          + cells(timing.window) + cells(timing.inPlace)
      }
      let heads = ["bytes", "MPI us", "GB/s"] + heads("window") + heads("in place")
      return ([heads] + rows).map { row in
        zip(row, widths).map { $0.padded(to: $1) }.joined()
      }.joined(separator: "\n")
    }

    private func heads(_ route: String) -> [String] { ["\(route) us", "GB/s", "x faster [range]"] }

    private func cells(_ route: AllReduceBenchmark.Compared?) -> [String] {
      guard let route else { return ["-", "-", "-"] }
      return [
        rounded(route.rate.medianMicroseconds), rounded(route.rate.gigabytesPerSecond),
        "\(rounded(route.ratio.median)) [\(rounded(route.ratio.least)), \(rounded(route.ratio.largest))]",
      ]
    }
  }
}
