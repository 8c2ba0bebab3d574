import Basics
import Foundation
import Layers
import Messaging
import Tensors

/// `sslmpi bench step`: training steps of a known model on random pixels, with the speed of sgemm measured between
/// them in the same process.
public enum StepBenchmark {
  /// The models that are compared with other programs.
  public enum Workload: String, CaseIterable, Sendable {
    case ti4_32, mae_s16, mae_b16, vit_s16, vit_b16
  }

  /// How `bench step` runs.
  public struct Options: Sendable {
    /// What is trained.
    public var workload: Workload
    /// Images a step, on this rank.
    public var batch: Int
    /// Threads a rank.
    public var threads: Int
    /// What multiplies matrices, as `runtime.gemm`.
    public var gemm: String
    /// What backward computes again.
    public var recompute: Recompute
    /// Measured steps, after two that are not.
    public var steps: Int
    /// Print one JSON object.
    public var json: Bool
    /// Answer `go N` lines on standard input, for comparisons in turns.
    public var lockstep: Bool

    /// The options of one measurement.
    public init(
      workload: Workload, batch: Int, threads: Int, gemm: String, recompute: Recompute, steps: Int, json: Bool,
      lockstep: Bool
    ) {
      self.workload = workload
      self.batch = batch
      self.threads = threads
      self.gemm = gemm
      self.recompute = recompute
      self.steps = steps
      self.json = json
      self.lockstep = lockstep
    }
  }

  /// Measures and prints.
  ///
  /// - Collective: every process of the launch calls it once; gradients are reduced over the ranks.
  public static func run(_ options: Options) -> ExitCode {
    Session.run { world in
      ThreadTeam.configure(threads: options.threads)
      try world.communicator.chooseAllReduce(.auto)
      let bench = try BenchedModel(options, world.communicator)
      bench.products = try ProductChoice.settle(options.gemm, bench.arena, earlier: nil, world.communicator).summary
      for _ in 0..<2 { try bench.step() }
      if options.lockstep { return try serve(bench) }
      var record = BenchRecord()
      for _ in 0..<options.steps {
        record.sgemm.append(GEMMBenchmark.gigaflops(rows: 6304, columns: 3072, inner: 768, seconds: 0.3))
        try record.measure { try bench.step() }
      }
      if world.communicator.rank == 0 {
        print(options.json ? record.json(bench, options).line : record.table(bench, options))
      }
      return .done
    }
  }

  /// Speaks the protocol of `tools/bench/compare`: for every line `go N`, N steps and one JSON line.
  private static func serve(_ bench: BenchedModel) throws -> ExitCode {
    let memory = BenchMemory()
    print(JSON.object([("ready", .bool(true)), ("images_per_step", .int(bench.imagesPerStep))]).line)
    fflush(nil)
    while let line = readLine() {
      guard line.hasPrefix("go "), let steps = Int(line.dropFirst(3)) else { break }
      let faults = Versions.minorFaults
      let start = monotonicSeconds()
      for _ in 0..<steps { try bench.step() }
      let seconds = monotonicSeconds() - start
      let answer: [(String, JSON)] = [
        ("steps", .int(steps)), ("seconds", .double(seconds)),
        ("images", .int(steps * bench.imagesPerStep)), ("minor_faults", .int(Versions.minorFaults - faults)),
        ("peak_rss_mib", .double(memory.peakResidentMiB)),
        ("sgemm_gflops", .double(GEMMBenchmark.gigaflops(rows: 6304, columns: 3072, inner: 768, seconds: 0.3))),
        ("gflops", .double(bench.flopsPerStep / (seconds / Double(steps)) / 1e9)),
      ]
      print(JSON.object(answer).line)
      fflush(nil)
    }
    return .done
  }
}
