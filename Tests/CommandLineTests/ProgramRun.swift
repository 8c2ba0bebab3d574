import Basics
import Foundation
import Storage
import TestKit
import XCTest

/// One run of the program under test, as a user would start it.
struct ProgramRun {
  let code: Int32
  let output: String
  let errors: String
  var lines: [String] { output.split(separator: "\n").map(String.init) }

  /// The directory that holds the test bundle and the program.
  static let products: URL = {
    let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? CommandLine.arguments[0]
    return URL(fileURLWithPath: bundle).standardizedFileURL.deletingLastPathComponent()
  }()

  /// The program.
  static var program: String { products.appendingPathComponent("sslmpi").path }

  /// Runs the program on `ranks` ranks and waits for its end; 0 ranks means without mpirun.
  static func sslmpi(
    _ arguments: [String], ranks: Int = 0, in directory: String? = nil, environment: [String: String] = [:]
  ) -> ProgramRun {
    start(arguments, ranks: ranks, in: directory, environment: environment).wait()
  }

  /// Starts the program and returns while it runs.
  static func start(
    _ arguments: [String], ranks: Int = 0, in directory: String? = nil, environment: [String: String] = [:],
    launcher: [String]? = nil
  ) -> StartedProgram {
    let mpirun = ["/usr/bin/env", "mpirun", "--oversubscribe", "--bind-to", "none", "-n", "\(ranks)", program]
    let launcher = launcher ?? (ranks == 0 ? [program] : mpirun)
    // Once a test of this process has started MPI, its environment would make every program a child of that world.
    let foreign = ["OMPI_", "PMIX_", "ORTE_", "OPAL_", "SSLMPI_"]
    let copying = "OMPI_MCA_btl_vader_single_copy_mechanism"
    let inherited = ProcessInfo.processInfo.environment
    var variables = inherited.filter { variable in !foreign.contains { variable.key.hasPrefix($0) } }
    variables[copying] = inherited[copying]
    variables["OMPI_ALLOW_RUN_AS_ROOT"] = "1"
    variables["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
    variables["OMPI_MCA_mpi_yield_when_idle"] = "1"
    variables.merge(environment) { $1 }
    return StartedProgram(Array(launcher + arguments), in: directory, variables)
  }
}

/// A program that runs, with its output kept in files so that no pipe can fill up.
final class StartedProgram {
  let process = Process()
  private let directory = temporaryDirectory("launch")

  init(_ command: [String], in workingDirectory: String?, _ environment: [String: String]) {
    if let workingDirectory { process.currentDirectoryURL = URL(fileURLWithPath: workingDirectory) }
    process.executableURL = URL(fileURLWithPath: command[0])
    process.arguments = Array(command.dropFirst())
    process.environment = environment
    process.standardInput = FileHandle.nullDevice
    for name in ["out", "err"] { _ = FileManager.default.createFile(atPath: "\(directory)/\(name)", contents: nil) }
    process.standardOutput = FileHandle(forWritingAtPath: "\(directory)/out")
    process.standardError = FileHandle(forWritingAtPath: "\(directory)/err")
    do {
      try process.run()
    } catch {
      preconditionFailure("cannot start \(command): \(error)")
    }
  }

  /// What it has written to standard error so far.
  var errorsSoFar: String { (try? String(contentsOfFile: "\(directory)/err", encoding: .utf8)) ?? "" }

  /// Waits until standard error holds `text`, or the program ends.
  func waitForErrors(containing text: String) {
    while process.isRunning, !errorsSoFar.contains(text) { sched_yield() }
  }

  /// The processes of its ranks, in the order in which they were started.
  var ranks: [Int32] {
    let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return all.compactMap(Int32.init).sorted().filter { candidate in
      guard let stat = try? String(contentsOfFile: "/proc/\(candidate)/stat", encoding: .utf8),
        let end = stat.lastIndex(of: ")")
      else { return false }
      let fields = stat[stat.index(after: end)...].split(separator: " ")
      return fields.count > 1 && Int32(fields[1]) == process.processIdentifier && stat.contains("(sslmpi)")
    }
  }

  /// Waits for the end.
  func wait() -> ProgramRun {
    process.waitUntilExit()
    let output = (try? String(contentsOfFile: "\(directory)/out", encoding: .utf8)) ?? ""
    return ProgramRun(code: process.terminationStatus, output: output, errors: errorsSoFar)
  }
}

/// A tiny run in a directory of its own.
struct TinyRun {
  let directory: String

  init() { directory = temporaryDirectory("tiny") + "/run" }

  /// Settings small enough for a second a run; batch 8 does not divide by 3.
  static let settings = [
    "method=mae", "name=tiny", "data.train=synth:tinyshapes?n=64&size=16&seed=3", "data.labels=false",
    "model.arch=vit_tiny_patch16_224", "model.img_size=16", "model.patch=4", "model.width=32", "model.depth=2",
    "model.heads=2", "model.decoder.dim=16", "model.decoder.depth=1", "model.decoder.heads=2", "train.batch_size=8",
    "optim.base_lr=0.02", "optim.warmup=3 steps", "runtime.threads=1", "log.every=1 steps", "eval.every=null",
    "log.images.every=null", "checkpoint.keep_last=10",
  ]

  /// Trains for `steps` on `ranks`.
  func train(steps: Int, ranks: Int = 1, _ more: [String] = []) -> ProgramRun {
    ProgramRun.sslmpi(arguments(steps: steps, more), ranks: ranks)
  }

  func arguments(steps: Int, _ more: [String] = []) -> [String] {
    ["pretrain", "--out", directory] + TinyRun.settings + ["train.max_steps=\(steps)", "checkpoint.every=null"] + more
  }

  /// The loss of every step in the metrics.
  func losses() throws -> [Double] {
    try String(contentsOfFile: directory + "/metrics.jsonl", encoding: .utf8).split(separator: "\n").compactMap {
      let line = try JSON.parse(String($0))
      return line["kind"] == .string("train") ? line["loss"]?.doubleValue : nil
    }
  }

  func checkpoint(_ step: Int) -> String {
    directory + "/checkpoints/mae/step-" + String(format: "%08d", step) + ".h5"
  }

  /// All tensors of a checkpoint by name.
  func tensors(_ step: Int) throws -> [String: [Float]] {
    try readFloats(of: checkpoint(step))
  }
}

/// Every single-precision dataset of a file.
func readFloats(of path: String) throws -> [String: [Float]] {
  let file = try H5File.open(path)
  var found: [String: [Float]] = [:]
  for dataset in try file.datasets() where dataset.kind == .float32 {
    var values = [Float](repeating: 0, count: dataset.count)
    try file.read(dataset.name, .float32, into: &values)
    found[dataset.name] = values
  }
  try file.close()
  return found
}
