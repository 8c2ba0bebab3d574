import Basics
import Foundation

/// The directory of one run. Rank 0 alone makes and writes it.
///
/// `config.yaml config.resolved.yaml command.txt env.json [gemm.json] status.json metrics.jsonl bad-images.txt logs/
/// checkpoints/<stage>/ viz/ debug/`
final class RunDirectory {
  let path: String
  private let lock: Int32
  private(set) var attempt = 1

  /// Claims the directory for this process.
  ///
  /// - Throws: `Failure` of code 73 when it cannot be made, holds a run and neither resuming nor overwriting was
  ///   asked for, or is in use by another process.
  init(path: String, resuming: Bool, overwrite: Bool) throws(Failure) {
    self.path = path
    let files = FileManager.default
    for directory in ["", "/checkpoints", "/viz", "/debug", "/logs"] {
      do {
        try files.createDirectory(atPath: path + directory, withIntermediateDirectories: true)
      } catch {
        throw Failure(
          .cannotCreate, "cannot create the run directory", at: path + directory,
          hint: "check the path and its permissions, or choose another --out (\(error.localizedDescription))")
      }
    }
    lock = open(path + "/.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard lock >= 0 else {
      throw Failure(
        .cannotCreate, "cannot write in the run directory: \(String(cString: strerror(errno)))", at: path,
        hint: "check its permissions, or choose another --out")
    }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      close(lock)
      throw Failure(
        .cannotCreate, "another process is using this run directory", at: path,
        hint: "wait for it to end, or choose another --out")
    }
    guard files.fileExists(atPath: path + "/status.json") else { return }
    guard resuming || overwrite else {
      throw Failure(
        .cannotCreate, "this directory already holds a run", at: path,
        hint: "add --resume auto to go on with it, --overwrite to replace it, or choose another --out")
    }
    if overwrite && !resuming { try clear() } else { attempt = RunDirectory.previousAttempts(at: path) + 1 }
  }

  deinit { close(lock) }

  /// Writes a text file of the directory, whole or not at all.
  func write(_ text: String, to name: String) throws(Failure) {
    try AtomicFile.write(text, to: "\(path)/\(name)")
  }

  /// Rewrites `status.json`: what a person or a portal looks at first.
  func updateStatus(_ state: String, _ fields: [(String, JSON)]) throws(Failure) {
    let head: [(String, JSON)] = [
      ("state", .string(state)), ("attempt", .int(attempt)), ("time", .string(timestamp())),
    ]
    try write(JSON.object(head + fields).line + "\n", to: "status.json")
  }

  private static func previousAttempts(at path: String) -> Int {
    guard let text = try? String(contentsOfFile: path + "/status.json", encoding: .utf8) else { return 0 }
    return (try? JSON.parse(text))?["attempt"]?.intValue ?? 0
  }

  /// Removes what an earlier run wrote, and nothing that it did not.
  private func clear() throws(Failure) {
    let files = FileManager.default
    let names = [
      "metrics.jsonl", "status.json", "bad-images.txt", "config.yaml", "config.resolved.yaml", "command.txt",
      "env.json", "gemm.json", "checkpoints", "viz", "debug", "logs",
    ]
    do {
      for name in names where files.fileExists(atPath: "\(path)/\(name)") {
        try files.removeItem(atPath: "\(path)/\(name)")
      }
      for directory in ["/checkpoints", "/viz", "/debug", "/logs"] {
        try files.createDirectory(atPath: path + directory, withIntermediateDirectories: true)
      }
    } catch {
      throw Failure(.cannotCreate, "cannot remove the old run: \(error.localizedDescription)", at: path)
    }
  }
}
