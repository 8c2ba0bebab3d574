import Basics
import Foundation
import Messaging

/// The side of `tools/bench/compare` that trains: rank 0 reads commands on standard input and answers each with one
/// JSON line; the other ranks follow. The protocol stands in that script.
struct StepServer {
  private let bench: BenchedModel
  private let options: StepBenchmark.Options
  private let communicator: Communicator

  private enum Command: Equatable {
    case go(steps: Int)
    case calibrate
    case quit

    init(_ line: String?) {
      let words = line?.split(separator: " ") ?? []
      if words == ["sgemm"] {
        self = .calibrate
      } else if words.count == 2, words[0] == "go", let steps = Int(words[1]), steps > 0 {
        self = .go(steps: steps)
      } else {
        self = .quit
      }
    }

    /// The command as the ranks send it to each other.
    var code: Double {
      switch self {
      case .go(let steps): Double(steps)
      case .quit: 0
      case .calibrate: -1
      }
    }

    init(code: Double) {
      self = code > 0 ? .go(steps: Int(code)) : code == 0 ? .quit : .calibrate
    }
  }

  init(_ bench: BenchedModel, _ options: StepBenchmark.Options, _ communicator: Communicator) {
    self.bench = bench
    self.options = options
    self.communicator = communicator
  }

  /// Answers until `quit`, the end of standard input, or a line that is no command.
  ///
  /// - Parameters:
  ///   - stepSeconds: how long a step took while warming up.
  /// - Collective: all ranks.
  func serve(stepSeconds: Double) throws -> ExitCode {
    answer([
      ("ready", .bool(true)), ("engine", .string("sslmpi \(Versions.program)")),
      ("gemm", .string(bench.products)), ("threads", .int(options.threads)),
      ("ranks", .int(communicator.size)), ("gflops_per_image", .double(bench.flopsPerImage / 1e9)),
      ("step_seconds", .double(stepSeconds)),
    ])
    while true {
      // The sum is rank 0's command: the others have none.
      let own = communicator.isCoordinator ? Command(readLine()).code : 0
      switch Command(code: try communicator.allReduceSum([own])[0]) {
      case .go(let steps): try train(steps)
      case .calibrate:
        let speed = try Calibration(communicator, Calibration.triad(communicator))
        answer([("sgemm_gflops", .double(speed.sgemm)), ("triad_gb_per_s", .double(speed.triad))])
      case .quit: return .done
      }
    }
  }

  private func train(_ steps: Int) throws {
    let start = monotonicSeconds()
    for _ in 0..<steps { try bench.step() }
    try communicator.barrier()
    let seconds = monotonicSeconds() - start
    answer([
      ("steps", .int(steps)), ("seconds", .double(seconds)), ("images", .int(steps * bench.imagesPerStep)),
    ])
  }

  private func answer(_ fields: [(String, JSON)]) {
    guard communicator.isCoordinator else { return }
    print(JSON.object(fields).line)
    fflush(nil)
  }
}
