import Basics
import CKernels
import Glibc

/// The instruction sets that the kernels are compiled for, in rising order.
///
/// `SSLMPI_ISA` forces one, for tests and for equal bits on mixed nodes.
public enum InstructionSet: String, CaseIterable, Sendable {
  case baseline, avx2, avx512

  /// Those that this machine runs.
  public static var available: [InstructionSet] { allCases.filter { ckernels_supported($0.index) != 0 } }

  /// The set in use: the forced one, else that of `SSLMPI_ISA`, else the best available.
  public static var chosen: InstructionSet { current }

  /// Uses one set from now on. Call between operations, never inside one.
  public static func force(_ set: InstructionSet) {
    precondition(available.contains(set), "InstructionSet: \(set.rawValue) does not run on this machine")
    current = set
    Kernels.table = ckernels_table(set.index)
  }

  /// Forces the set of a setting: one of the names, or `auto` for the best available.
  ///
  /// - Throws: `Failure` of code 78 for another name, 69 for a set that this machine does not run.
  public static func force(named name: String) throws(Failure) {
    guard name != "auto" else { return force(best) }
    guard let set = InstructionSet(rawValue: name) else {
      let names = allCases.map(\.rawValue).joined(separator: ", ")
      throw Failure(.badConfig, "unknown instruction set \"\(name)\"", hint: "use auto or one of \(names)")
    }
    guard available.contains(set) else {
      throw Failure(
        .unavailable, "this machine does not run \(name) kernels",
        hint: "the best set here is \(best.rawValue)")
    }
    force(set)
  }

  static var best: InstructionSet { available.last ?? .baseline }

  /// Written by `force` only, between operations.
  nonisolated(unsafe) private static var current = initial

  static var initial: InstructionSet {
    guard let name = getenv("SSLMPI_ISA"), let set = InstructionSet(rawValue: String(cString: name)),
      available.contains(set)
    else { return best }
    return set
  }

  var index: Int32 {
    switch self {
    case .baseline: Int32(CKERNELS_BASELINE)
    case .avx2: Int32(CKERNELS_AVX2)
    case .avx512: Int32(CKERNELS_AVX512)
    }
  }
}
