import ArgumentParser
import Basics
import Messaging
import Training

extension BenchCommand {
  /// `sslmpi bench allreduce`
  struct AllReduce: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "allreduce",
      abstract: "Sums over all ranks, 4 KiB to 100 MB: the shared-memory window beside MPI_Allreduce, in turns.",
      discussion: "mpirun -n 2 sslmpi bench allreduce")

    @Option(help: "Repetitions of each size.") var repetitions = 11
    @Flag(help: "One JSON object.") var json = false

    func validate() throws { try requirePositive([("--repetitions", repetitions)]) }

    func run() throws {
      try Session.run { world in
        let communicator = world.communicator
        let route = try communicator.chooseAllReduce(.auto)
        let timings = try AllReduceBenchmark.run(communicator, repetitions: repetitions)
        Output.result(
          json
            ? JSON.object([
              ("ranks", .int(communicator.size)), ("nodes", .int(communicator.node.count)),
              ("window", .bool(route == .window)), ("sizes", .array(timings.map(record))),
            ]).line
            : table(timings))
        if case .mpi(let reason) = route { Output.message("no window: \(reason)") }
        return .done
      }.end()
    }

    private func record(_ timing: AllReduceBenchmark.Timing) -> JSON {
      var fields: [(String, JSON)] = [
        ("bytes", .int(timing.bytes)), ("mpi_us", .double(timing.mpi.medianMicroseconds)),
        ("mpi_gb_per_s", .double(timing.mpi.gigabytesPerSecond)),
      ]
      if let window = timing.window, let ratio = timing.ratio {
        fields += [
          ("window_us", .double(window.medianMicroseconds)), ("window_gb_per_s", .double(window.gigabytesPerSecond)),
          ("ratio", .double(ratio.median)), ("ratio_min", .double(ratio.least)), ("ratio_max", .double(ratio.largest)),
        ]
      }
      return .object(fields)
    }

    private func table(_ timings: [AllReduceBenchmark.Timing]) -> String {
      let widths = [12, 12, 10, 12, 10, 8]
      let rows = timings.map { timing in
        [
          "\(timing.bytes)", rounded(timing.mpi.medianMicroseconds), rounded(timing.mpi.gigabytesPerSecond),
          timing.window.map { rounded($0.medianMicroseconds) } ?? "-",
          timing.window.map { rounded($0.gigabytesPerSecond) } ?? "-",
          timing.ratio.map { "\(rounded($0.median)) [\(rounded($0.least)), \(rounded($0.largest))]" } ?? "-",
        ]
      }
      let heads = ["bytes", "MPI us", "GB/s", "window us", "GB/s", "times faster: median [range]"]
      return ([heads] + rows).map { row in
        zip(row, widths).map { $0.padded(to: $1) }.joined()
      }.joined(separator: "\n")
    }
  }
}
