import ArgumentParser
import Basics
import Parallelism
import Training

extension BenchCommand {
  /// `sslmpi bench queue`
  struct Queue: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "queue",
      abstract: "The nearest-neighbour queue in each placement: time, bytes between ranks, memory.",
      discussion: """
        A step looks up the queries of every rank, fetches a row for each, and enqueues a batch. Bytes are counted from \
        the calls, per rank, and stand beside those of the formula. Products are compared with sgemm in the same run.
        mpirun -n 2 sslmpi bench queue --placements node global
        """)

    @Option(help: "Rows of the queue.") var capacity = 65536
    @Option(help: "Numbers of a row.") var width = 256
    @Option(help: "Queries of each rank.") var queries = 64
    @Option(help: "Neighbours of each query.") var topK = 20
    @Option(help: "Rows that a step enqueues, of all ranks; half of all queries without it.") var batch: Int?
    @Option(parsing: .upToNextOption, help: "The placements.") var placements = QueuePlacement.allCases
    @Option(help: "Measured steps, after one that is not.") var rounds = 5
    @Option(help: "Compute threads of a rank.") var threads = 1
    @Flag(help: "One JSON object.") var json = false

    func validate() throws {
      try requirePositive([
        ("--capacity", capacity), ("--width", width), ("--queries", queries), ("--top-k", topK),
        ("--batch", batch ?? 1),
        ("--rounds", rounds), ("--threads", threads),
      ])
      guard topK <= capacity else { throw ValidationError("--top-k \(topK) is more than the \(capacity) rows.") }
    }

    func run() throws {
      try Session.run { world in
        let communicator = world.communicator
        ThreadTeam.configure(threads: threads)
        let options = QueueBenchmark.Options(
          capacity: capacity, width: width, queries: queries, k: topK,
          globalBatch: batch ?? max(queries * communicator.size / 2, 1), rounds: rounds)
        let results = try QueueBenchmark.run(placements, options, communicator)
        let report = Report(results: results, operations: 2e-9 * Double(queries * capacity * width))
        Output.result(
          json
            ? JSON.object(
              [
                ("ranks", .int(communicator.size)), ("nodes", .int(communicator.node.count)),
                ("threads", .int(threads)), ("capacity", .int(capacity)), ("width", .int(width)),
                ("queries", .int(queries)), ("top_k", .int(topK)), ("batch", .int(options.globalBatch)),
                ("placements", .array(results.map(report.record))),
              ]).line
            : report.table)
        return .done
      }.end()
    }
  }

  /// What `bench queue` prints.
  private struct Report {
    let results: [QueueBenchmark.Result]
    /// The products of one rank's queries with all rows, in 10^9.
    let operations: Double

    private func rate(_ result: QueueBenchmark.Result) -> Double { operations / result.lookupSeconds }

    private func calls(
      _ result: QueueBenchmark.Result
    ) -> [(name: String, seconds: Double, sent: RankSpread, received: RankSpread, table: Double, extra: Double)] {
      let formula = result.formula
      return [
        (
          "lookup", result.lookupSeconds, result.traffic[0].sent, result.traffic[0].received, formula.lookup,
          formula.extraLookup
        ),
        (
          "rows", result.rowsSeconds, result.traffic[1].sent, result.traffic[1].received, formula.rows,
          formula.extraRows
        ),
        (
          "enqueue", result.enqueueSeconds, result.traffic[2].sent, result.traffic[2].received, formula.enqueue,
          formula.extraEnqueue
        ),
      ]
    }

    func record(_ result: QueueBenchmark.Result) -> JSON {
      let calls = calls(result).flatMap { call -> [(String, JSON)] in
        [
          ("\(call.name)_ms", .double(call.seconds * 1e3)), ("\(call.name)_sent_bytes", .double(call.sent.mean)),
          ("\(call.name)_sent_bytes_max", .double(call.sent.maximum)),
          ("\(call.name)_received_bytes", .double(call.received.mean)),
          ("\(call.name)_received_bytes_max", .double(call.received.maximum)),
          ("\(call.name)_formula_bytes", .double(call.table)), ("\(call.name)_extra_bytes", .double(call.extra)),
        ]
      }
      return .object(
        [("placement", .string(result.placement.rawValue))] + calls + [
          ("lookup_gflops", .double(rate(result))), ("fraction_of_sgemm", .double(result.fractionOfProduct)),
          ("rank_bytes", .int(result.rankBytes)), ("node_bytes", .int(result.nodeBytes)),
        ])
    }

    var table: String {
      let heads = ["placement", "call", "ms", "sent/rank", "received/rank", "formula", "ids, labels, counts"]
      let widths = [13, 9, 11, 12, 15, 12, 20]
      var rows = [heads]
      for result in results {
        for call in calls(result) {
          rows.append([
            result.placement.rawValue, call.name, rounded(call.seconds * 1e3), "\(Int(call.sent.mean))",
            "\(Int(call.received.mean))", "\(Int(call.table))", "\(Int(call.extra))",
          ])
        }
      }
      let lines = rows.map { row in zip(row, widths).map { $0.padded(to: $1) }.joined() }
      let memory = results.map { result in
        "\(result.placement.rawValue): \(rounded(Double(result.rankBytes) / 1_048_576)) MiB of a rank's own, "
          + "\(rounded(Double(result.nodeBytes) / 1_048_576)) MiB a node; lookup at \(rounded(rate(result))) GFLOP/s, "
          + "\(rounded(result.fractionOfProduct)) of sgemm"
      }
      return (lines + memory).joined(separator: "\n")
    }
  }
}

extension QueuePlacement: ExpressibleByArgument {}
