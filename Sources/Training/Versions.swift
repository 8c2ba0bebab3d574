import Basics
import Glibc
import Messaging
import Tensors

/// Names and versions that decide the numbers of a run.
public enum Versions {
  /// The version of this program.
  public static let program = "0.1.0"

  /// Program, libraries and instruction set, for checkpoints and `env.json`.
  static var all: [(String, String)] {
    [
      ("sslmpi", program), ("mpi", World.libraryName), ("blas", Matmul.libraryName),
      ("isa", InstructionSet.chosen.rawValue), ("threads", "\(ThreadTeam.shared.threads)"),
    ]
  }

  /// This machine's name.
  static var host: String {
    var buffer = [CChar](repeating: 0, count: 256)
    gethostname(&buffer, buffer.count - 1)
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The largest resident set of this process so far, in MiB.
  static var peakResidentMiB: Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Double(usage.ru_maxrss) / 1024
  }

  /// Page faults of this process that needed no disk.
  static var minorFaults: Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_minflt
  }
}
