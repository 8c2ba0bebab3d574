import Foundation

/// The two streams: results on standard output, messages on standard error. One process of a launch speaks.
enum Output {
  /// Whether this process speaks for all: MPI may not be up yet, so the launcher's variables decide.
  static let speaks: Bool = {
    let environment = ProcessInfo.processInfo.environment
    let names = ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"]
    return names.lazy.compactMap { environment[$0] }.first.map { $0 == "0" } ?? true
  }()

  static func result(_ text: String) { write(text, to: .standardOutput) }

  static func message(_ text: String) { write(text, to: .standardError) }

  private static func write(_ text: String, to stream: FileHandle) {
    guard speaks, !text.isEmpty else { return }
    // A closed pipe (sslmpi list models | head -1) is nobody's error.
    try? stream.write(contentsOf: Data((text + "\n").utf8))
  }
}
