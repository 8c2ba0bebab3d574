import ArgumentParser
import Basics
import Layers
import Tensors
import Training

extension BenchCommand {
  /// `sslmpi bench step`
  struct Step: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "step", abstract: "Whole training steps on random pixels, as a part of the speed of sgemm.",
      discussion: """
        sslmpi bench step --workload mae_s16 --batch 16 --threads 2 --steps 5 --json

        Each kind of work is shown with its share of the step, its rate, and the rate over its limit: sgemm for linear \
        and attention, a triad for the rest, both measured between the steps.
        """)

    @Option(help: "The model.") var workload = StepBenchmark.Workload.ti4_32
    @Option(help: "Images a step, on each rank.") var batch = 32
    @Option(help: "Compute threads of a rank.") var threads = 1
    @Option(help: "What multiplies matrices: isa, auto, native, openblas or onednn.") var gemm = "isa"
    @Option(help: "Activations that backward computes again.") var recompute = Recompute.none
    @Option(help: "Measured steps, after two that are not.") var steps = 10
    @Option(help: "Tokens of an image, the class token included, instead of the model's (not for mae*).")
    var tokens: Int?
    @Option(help: "Width of a token, instead of the model's (not for mae*).") var width: Int?
    @Option(help: "Blocks, instead of the model's (not for mae*).") var depth: Int?
    @Option(help: "Attention heads, instead of the model's (not for mae*).") var heads: Int?
    @Flag(help: "One JSON object.") var json = false
    @Flag(help: ArgumentHelp("Answer commands on standard input.", visibility: .hidden)) var lockstep = false

    private var sizes: StepBenchmark.Sizes {
      StepBenchmark.Sizes(tokens: tokens, width: width, depth: depth, heads: heads)
    }

    func validate() throws {
      try requirePositive([("--batch", batch), ("--threads", threads), ("--steps", steps)])
      let known = ["isa", "auto"] + ProductEngine.allCases.map(\.rawValue)
      guard known.contains(gemm) else {
        throw ValidationError("--gemm must be one of \(known.joined(separator: ", ")), not \(gemm).")
      }
      if workload.isMethod, sizes != StepBenchmark.Sizes() {
        throw ValidationError(
          "--tokens, --width, --depth and --heads do not go with \(workload.rawValue); use vit_s16 or vit_b16.")
      }
    }

    func run() throws {
      let options = StepBenchmark.Options(
        workload: workload, sizes: sizes, batch: batch, threads: threads, gemm: gemm, recompute: recompute,
        steps: steps, json: json, lockstep: lockstep)
      try StepBenchmark.run(options).end()
    }
  }
}

extension StepBenchmark.Workload: ExpressibleByArgument {}
extension ProductEngine: ExpressibleByArgument {}
extension Recompute: ExpressibleByArgument {}
