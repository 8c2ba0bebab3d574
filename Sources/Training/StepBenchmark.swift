import Basics
import Glibc
import Layers
import Messaging
import Tensors

/// `sslmpi bench step`: training steps of a known model on random pixels, with the speeds of sgemm and of a triad
/// measured between them in the same process.
public enum StepBenchmark {
  /// The models that are compared with other programs.
  public enum Workload: String, CaseIterable, Sendable {
    case ti4_32, mae_s16, mae_b16, vit_s16, vit_b16
    /// The stages of MAE-CT after the first, and tuning of the whole encoder, all of them with the paper's head and queue.
    case maect_head_b16, maect_tune_b16, maect_tune_all_b16

    /// Whether the workload is a method, whose sizes are fixed, and not a bare encoder.
    public var isMethod: Bool { rawValue.hasPrefix("mae") }
  }

  /// Sizes of the encoder that replace those of the workload.
  public struct Sizes: Equatable, Sendable {
    /// Tokens of an image, the class token included: as many patches as needed are seen, the others left out.
    public var tokens: Int?
    /// Width of a token.
    public var width: Int?
    /// Number of blocks.
    public var depth: Int?
    /// Attention heads.
    public var heads: Int?

    /// Those of the workload where nil.
    public init(tokens: Int? = nil, width: Int? = nil, depth: Int? = nil, heads: Int? = nil) {
      self.tokens = tokens
      self.width = width
      self.depth = depth
      self.heads = heads
    }
  }

  /// How `bench step` runs.
  public struct Options: Sendable {
    /// What is trained.
    public var workload: Workload
    /// Other sizes of its encoder.
    public var sizes: Sizes
    /// Images a step, on each rank.
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
    /// Answer lines on standard input, for comparisons in turns.
    public var lockstep: Bool

    /// The options of one measurement.
    public init(
      workload: Workload, sizes: Sizes = Sizes(), batch: Int, threads: Int, gemm: String, recompute: Recompute,
      steps: Int, json: Bool, lockstep: Bool
    ) {
      self.workload = workload
      self.sizes = sizes
      self.batch = batch
      self.threads = threads
      self.gemm = gemm
      self.recompute = recompute
      self.steps = steps
      self.json = json
      self.lockstep = lockstep
    }
  }

  /// Measures and prints, on rank 0.
  ///
  /// - Collective: every process of the launch calls it once; gradients are reduced over the ranks.
  public static func run(_ options: Options) -> ExitCode {
    Session.run { world in
      ThreadTeam.configure(threads: options.threads)
      try world.communicator.chooseAllReduce(.auto)
      let bench = try BenchedModel(options, world.communicator)
      if let obstacle = bench.obstacle {
        Console(speaks: world.communicator.isCoordinator).say("gradients are copied for their sums: \(obstacle)")
      }
      try bench.step()
      let start = monotonicSeconds()
      try bench.step()
      let stepSeconds = monotonicSeconds() - start
      if options.lockstep {
        return try StepServer(bench, options, world.communicator).serve(stepSeconds: stepSeconds)
      }
      // Every step takes the same memory, so the calibrations' own arrays are left out.
      let memory = try world.communicator.allReduceSum([Versions.peakResidentMiB])[0]
      var record = BenchRecord(peakResidentMiB: memory)
      let triad = Calibration.triad(world.communicator)
      for _ in 0..<options.steps {
        record.calibrations.append(try Calibration(world.communicator, triad))
        try world.communicator.barrier()
        try record.measure { try bench.step() }
      }
      let faults = try world.communicator.allReduceSum(record.faults.map(Double.init))
      record.faults = faults.map { Int($0) }
      if world.communicator.isCoordinator {
        print(options.json ? record.json(bench, options).line : record.table(bench, options))
      }
      return .done
    }
  }
}

/// The machine's speed at one moment: what no training step can pass.
struct Calibration {
  /// - Units: 10⁹ operations a second, all ranks together.
  let sgemm: Double
  /// - Units: 10⁹ bytes a second, all ranks together.
  let triad: Double

  /// In bytes, 0 where unknown. Some virtual machines name that of the whole host.
  private static let thirdCache = max(sysconf(Int32(_SC_LEVEL3_CACHE_SIZE)), 0)

  /// A triad whose arrays are each as large as the third cache, over all ranks of a node.
  static func triad(_ communicator: Communicator) -> KernelBenchmark.Triad {
    .init(bytesOfArray: max(Calibration.thirdCache / communicator.node.size, 39 << 20))
  }

  /// Measures on all ranks at once.
  ///
  /// - Collective: all ranks.
  init(_ communicator: Communicator, _ triad: KernelBenchmark.Triad) throws {
    try communicator.barrier()
    let product = GEMMBenchmark.gigaflops(rows: 6304, columns: 3072, inner: 768, seconds: 0.3)
    try communicator.barrier()
    let sums = try communicator.allReduceSum([product, triad.gigabytes(seconds: 0.1)])
    (sgemm, self.triad) = (sums[0], sums[1])
  }
}
