import Basics
import Checkpoints
import Foundation

/// The directory of one run. Rank 0 alone makes and writes it.
///
/// `config.yaml config.resolved.yaml command.txt env.json [gemm.json] status.json metrics.jsonl bad-images.txt logs/
/// checkpoints/<stage>/ viz/ debug/`; files of which every stage has its own begin with its name.
final class RunDirectory {
  let path: String
  private let lock: Int32
  private(set) var attempt = 1

  /// Claims the directory for this process.
  ///
  /// - Parameters:
  ///   - stages: those that are to run, when the method has stages: `overwrite` replaces these alone.
  ///   - isPart: whether one stage of several was asked for: the others stay, and a run in which this one has no
  ///     checkpoint yet is not in the way.
  /// - Throws: `Failure` of code 73 when it cannot be made, holds a run and neither resuming nor overwriting was
  ///   asked for, or is in use by another process.
  init(
    path: String, resuming: Bool, overwrite: Bool, stages: [PlannedStage] = [], isPart: Bool = false
  ) throws(Failure) {
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
    let isFree = isPart && stages.allSatisfy { CheckpointReader.newestNamed(inStage: $0.checkpoints) == nil }
    guard resuming || overwrite || isFree else {
      let stage = isPart ? stages.first.map { "the stage \($0.name) of this run has checkpoints already" } : nil
      throw Failure(
        .cannotCreate, stage ?? "this directory already holds a run", at: path,
        hint: "add --resume auto to go on with it, --overwrite to replace it, or choose another --out")
    }
    if overwrite && !isPart {
      try clear(stages)
    } else {
      if overwrite { try clear(stages, isWhole: false) }
      attempt = RunDirectory.previousAttempts(at: path) + 1
    }
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

  /// The stages of a run in their order, as its `status.json` lists them; none when it has none or there is no file.
  static func stages(at path: String) -> [String] {
    (status(at: path)?["stages"]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
  }

  private static func previousAttempts(at path: String) -> Int { status(at: path)?["attempt"]?.intValue ?? 0 }

  private static func status(at path: String) -> JSON? {
    guard let text = try? String(contentsOfFile: path + "/status.json", encoding: .utf8) else { return nil }
    return try? JSON.parse(text)
  }

  /// Removes what an earlier run wrote, and nothing that it did not: everything, or what belongs to some stages.
  ///
  /// - Parameter isWhole: whether what belongs to no stage goes too.
  private func clear(_ stages: [PlannedStage], isWhole: Bool = true) throws(Failure) {
    let files = FileManager.default
    var names: [String] = []
    if isWhole {
      names += ["status.json", "config.yaml", "config.resolved.yaml", "command.txt", "env.json", "logs"]
    }
    if stages.isEmpty {
      names += ["metrics.jsonl", "bad-images.txt", "gemm.json", "checkpoints", "viz", "debug"]
    }
    for stage in stages {
      names += ["checkpoints/\(stage.name)", stage.productFile, "\(stage.filePrefix)bad-images.txt"]
      for folder in ["viz", "debug"] {
        let found = (try? files.contentsOfDirectory(atPath: "\(path)/\(folder)")) ?? []
        names += found.filter { $0.hasPrefix(stage.filePrefix) }.map { "\(folder)/\($0)" }
      }
    }
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
    try MetricLog.remove(stages: stages.map(\.name), from: "\(path)/metrics.jsonl")
  }
}
