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
        window: the values are copied into shared memory and back. in place: they lie in it, as gradients do, and each
        sum is read where it was added. read: every rank reads all sums once, after that.
        mpirun -n 2 sslmpi bench allreduce
        """)

    @Option(help: "Repetitions of each size.") var repetitions = 11
    @Flag(help: "One JSON object.") var json = false

    func validate() throws { try requirePositive([("--repetitions", repetitions)]) }

    func run() throws {
      try Session.run { world in
        let communicator = world.communicator
        let route = try communicator.chooseAllReduce(.auto)
        let obstacle = try Self.obstacle(communicator)
        let inPlace = route == .window && obstacle == nil
        let timings = try AllReduceBenchmark.run(communicator, inPlace: inPlace, repetitions: repetitions)
        Output.result(
          json
            ? JSON.object([
              ("ranks", .int(communicator.size)), ("nodes", .int(communicator.node.count)),
              ("window", .bool(route == .window)), ("in_place", .bool(inPlace)),
              ("sizes", .array(timings.map(record))),
            ]).line
            : table(timings))
        if case .mpi(let reason) = route { Output.message("no window: \(reason)") }
        if let obstacle { Output.message("nothing in place: \(obstacle)") }
        return .done
      }.end()
    }

    /// Why there is no memory to share for the largest size; nil when there is.
    private static func obstacle(_ communicator: Communicator) throws(Failure) -> String? {
      let largest = AllReduceBenchmark.defaultSizes.max() ?? 0
      do throws(Failure) {
        _ = try communicator.nodeMemory(parts: [0..<largest / MemoryLayout<Float>.size])
        return nil
      } catch {
        guard error.code == .unavailable else { throw error }
        return error.what
      }
    }

    private func record(_ timing: AllReduceBenchmark.Timing) -> JSON {
      .object(
        [
          ("bytes", .int(timing.bytes)), ("mpi_us", .double(timing.mpi.medianMicroseconds)),
          ("mpi_gb_per_s", .double(timing.mpi.gigabytesPerSecond)),
          ("mpi_read_us", .double(timing.mpi.readMicroseconds)),
        ] + fields(timing.window, time: "window", ratio: "ratio")
          + fields(timing.inPlace, time: "in_place", ratio: "in_place_ratio"))
    }

    private func fields(_ route: AllReduceBenchmark.Compared?, time: String, ratio: String) -> [(String, JSON)] {
      guard let route else { return [] }
      return [
        ("\(time)_us", .double(route.rate.medianMicroseconds)),
        ("\(time)_gb_per_s", .double(route.rate.gigabytesPerSecond)),
        ("\(time)_read_us", .double(route.rate.readMicroseconds)), (ratio, .double(route.ratio.median)),
        ("\(ratio)_min", .double(route.ratio.least)), ("\(ratio)_max", .double(route.ratio.largest)),
      ]
    }

    private func table(_ timings: [AllReduceBenchmark.Timing]) -> String {
      let widths = [12, 12, 10, 10, 12, 10, 10, 22, 14, 10, 10, 22]
      let rows = timings.map { timing in
        ["\(timing.bytes)"] + cells(timing.mpi) + cells(timing.window) + cells(timing.inPlace)
      }
      let heads = ["bytes", "MPI us", "GB/s", "read us"] + heads("window") + heads("in place")
      return ([heads] + rows).map { row in
        zip(row, widths).map { $0.padded(to: $1) }.joined()
      }.joined(separator: "\n")
    }

    private func heads(_ route: String) -> [String] { ["\(route) us", "GB/s", "read us", "x faster [range]"] }

    private func cells(_ rate: AllReduceBenchmark.Rate) -> [String] {
      [rounded(rate.medianMicroseconds), rounded(rate.gigabytesPerSecond), rounded(rate.readMicroseconds)]
    }

    private func cells(_ route: AllReduceBenchmark.Compared?) -> [String] {
      guard let route else { return ["-", "-", "-", "-"] }
      return cells(route.rate) + [
        "\(rounded(route.ratio.median)) [\(rounded(route.ratio.least)), \(rounded(route.ratio.largest))]"
      ]
    }
  }
}
