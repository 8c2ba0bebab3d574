import ArgumentParser
import Basics
import Pipeline
import Tensors
import Training

/// `sslmpi bench`: how fast this machine does what training consists of.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measures products, kernels, training steps, messages, the queue, features, k-NN and image decoding.",
    subcommands: [
      GEMM.self, FusedKernels.self, Step.self, AllReduce.self, Queue.self, Extracted.self, Neighbours.self,
      Decoding.self,
    ])

  /// `sslmpi bench gemm`
  struct GEMM: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "gemm",
      abstract: "The products of a linear layer; the forward one is what a training step is measured against.")

    @Option(help: "Rows of activations.") var rows = 6304
    @Option(help: "Outputs of the layer.") var columns = 3072
    @Option(help: "Inputs of the layer.") var inner = 768
    @Option(help: "Least duration in seconds, of each product.") var seconds = 1.0
    @Option(help: "Compute threads.") var threads = 1
    @Option(help: "The engine; the instruction set's standard without it.") var engine: ProductEngine?
    @Flag(help: "One JSON object.") var json = false

    func validate() throws {
      try requirePositive([("--rows", rows), ("--columns", columns), ("--inner", inner), ("--threads", threads)])
    }

    func run() throws {
      ThreadTeam.configure(threads: threads)
      if let engine { try ProductEngine.use(engine) }
      let rates = GEMMBenchmark.measure(
        LinearProduct.allCases, rows: rows, columns: columns, inner: inner, seconds: seconds)
      let fields: [(String, JSON)] =
        [
          ("rows", .int(rows)), ("columns", .int(columns)), ("inner", .int(inner)), ("threads", .int(threads)),
          ("engine", .string(ProductEngine.plan.standard.rawValue)), ("blas", .string(Matmul.libraryName)),
          ("sgemm_gflops", .double(rates[0])),
        ] + zip(LinearProduct.allCases, rates).map { ("\($0.rawValue)_gflops", .double($1)) }
      Output.result(json ? JSON.object(fields).line : BenchCommand.list(fields))
    }
  }

  /// `sslmpi bench kernels`
  struct FusedKernels: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "kernels", abstract: "The fused kernels, each beside a triad measured in the same run.")

    @Option(help: "Rows of the arrays.") var rows = 6304
    @Option(help: "Width of the arrays.") var width = 768
    @Option(help: "Seconds for each kernel.") var seconds = 0.2
    @Option(help: "Compute threads.") var threads = 1
    @Flag(help: "One JSON object.") var json = false

    func validate() throws {
      try requirePositive([("--rows", rows), ("--width", width), ("--threads", threads)])
    }

    func run() throws {
      ThreadTeam.configure(threads: threads)
      let results = KernelBenchmark.measure(rows: rows, width: width, seconds: seconds)
      if json {
        let kernels = results.map { result in
          JSON.object([
            ("name", .string(result.name)), ("gb_per_s", .double(result.gigabytesPerSecond)),
            ("triad_gb_per_s", .double(result.triad)), ("ratio", .double(result.gigabytesPerSecond / result.triad)),
          ])
        }
        let isa = InstructionSet.chosen.rawValue
        return Output.result(
          JSON.object([("isa", .string(isa)), ("threads", .int(threads)), ("kernels", .array(kernels))]).line)
      }
      Output.result("kernel".padded(to: 28) + "GB/s".padded(to: 10) + "triad".padded(to: 10) + "ratio")
      for result in results {
        let ratio = result.gigabytesPerSecond / result.triad
        Output.result(
          result.name.padded(to: 28) + rounded(result.gigabytesPerSecond).padded(to: 10)
            + rounded(result.triad).padded(to: 10) + rounded(ratio))
      }
    }
  }

  /// `sslmpi bench jpeg`
  struct Decoding: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "jpeg",
      abstract: "JPEG files to training views on one core: decode, crop, resize, flip, colours, normalise.")

    @Option(help: "Generated 500x375 images a round.") var images = 200
    @Option(help: "Rounds; the median counts.") var rounds = 5
    @Option(help: "What happens to colours: nothing, or MAE-CT's aug (image i as view i mod 2).")
    var augment = JPEGBenchmark.Augment.none
    @Option(help: ArgumentHelp("Keep the files and views, for another program to compare with.", valueName: "dir"))
    var keepIn: String?
    @Flag(help: "One JSON object.") var json = false

    func validate() throws { try requirePositive([("--images", images), ("--rounds", rounds)]) }

    func run() throws {
      let result = try JPEGBenchmark.run(images: images, rounds: rounds, augment: augment, keepIn: keepIn)
      let fields = (result.json.members ?? []).map { ($0.key, $0.value) }
      Output.result(json ? result.json.line : BenchCommand.list(fields))
    }
  }

  static func list(_ fields: [(String, JSON)]) -> String {
    let width = max(20, (fields.map(\.0.count).max() ?? 0) + 2)
    return fields.map { name, value in
      let isWhole = value.intValue != nil
      let number = isWhole ? nil : value.doubleValue.map(rounded)
      return name.padded(to: width) + (number ?? value.stringValue ?? value.line)
    }.joined(separator: "\n")
  }
}

extension JPEGBenchmark.Augment: ExpressibleByArgument {}

/// Refuses options below 1.
func requirePositive(_ values: [(String, Int)]) throws {
  for (name, value) in values where value < 1 { throw ValidationError("\(name) must be at least 1, not \(value).") }
}

/// A measured number with two decimals.
func rounded(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }
