import ArgumentParser
import Basics
import Features
import Training

extension BenchCommand {
  /// `sslmpi bench knn`
  struct Neighbours: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "knn",
      abstract: "k-NN classification of random features: time, rate, the memory of a rank.",
      discussion: """
        A round goes from raw features to classes: both sides are normalised, all similarities computed, the nearest \
        kept, their votes counted. tools/bench/knn_sklearn.py compares with scikit-learn on the same features.
        mpirun -n 2 sslmpi bench knn --bank 100000
        """)

    @Option(help: "Features to classify.") var queries = 10_000
    @Option(help: "Features to compare them with.") var bank = 100_000
    @Option(help: "Numbers of a feature.") var width = 768
    @Option(help: "Neighbours that vote.") var topK = 20
    @Option(help: "Measured rounds; the median counts.") var rounds = 3
    @Option(help: "Compute threads of a rank.") var threads = 1
    @Option(
      help: ArgumentHelp(
        "Keep features, labels and classes, for another program to compare with; one rank only.", valueName: "dir"))
    var keepIn: String?
    @Flag(help: "One JSON object.") var json = false

    func validate() throws {
      try requirePositive([
        ("--queries", queries), ("--bank", bank), ("--width", width), ("--top-k", topK), ("--rounds", rounds),
        ("--threads", threads),
      ])
      guard topK <= bank else { throw ValidationError("--top-k \(topK) is more than the \(bank) features.") }
    }

    func run() throws {
      try Session.run { world in
        let communicator = world.communicator
        guard keepIn == nil || communicator.size == 1 else {
          throw Failure(.usage, "one rank keeps the features, not \(communicator.size)", at: "--keep-in")
        }
        ThreadTeam.configure(threads: threads)
        let result = try SearchBenchmark.run(
          .init(queries: queries, bank: bank, width: width, k: topK, rounds: rounds), communicator, keepIn: keepIn)
        let seconds = result.seconds.sorted()
        let median = seconds[seconds.count / 2]
        let fields: [(String, JSON)] = [
          ("ranks", .int(communicator.size)), ("threads", .int(threads)), ("queries", .int(queries)),
          ("bank", .int(bank)), ("width", .int(width)), ("top_k", .int(topK)), ("seconds", .double(median)),
          ("seconds_min", .double(seconds[0])), ("seconds_max", .double(seconds[seconds.count - 1])),
          ("core_seconds", .double(result.coreSeconds.sorted()[seconds.count / 2])),
          ("gflops", .double(2e-9 * Double(queries) * Double(bank) * Double(width) / median)),
          ("bank_mib_per_rank", .double(Double(result.bankBytes) / 1_048_576)),
          ("peak_mib_per_rank", .double(Double(result.peakBytes) / 1_048_576)),
        ]
        Output.result(json ? JSON.object(fields).line : BenchCommand.list(fields))
        return .done
      }.end()
    }
  }
}
