import ArgumentParser
import Basics
import Checkpoints
import Foundation
import Pipeline

/// `sslmpi inspect`: what a checkpoint, a step record, a run or a data source holds.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Shows what a checkpoint, a run or a data source holds.",
    discussion: """
      sslmpi inspect runs/demo
      sslmpi inspect runs/demo/checkpoints/last.h5 --verify
      sslmpi inspect "synth:tinyshapes?n=2000&size=32"
      """)

  @Argument(help: "An HDF5 file, a run directory or a data address.")
  var target: String

  @Flag(help: "Compare every byte of a checkpoint with its checksums; exit 2 when one differs.")
  var verify = false

  @Flag(help: "One JSON object.")
  var json = false

  func run() throws {
    guard Output.speaks else { return }
    if target.hasSuffix(".h5") { return try showFile(target) }
    if FileManager.default.fileExists(atPath: target + "/status.json") { return try showRun() }
    try showData()
  }

  private func showFile(_ path: String) throws {
    let inspection = try Inspection.describe(path, verify: verify)
    Output.result(json ? inspection.json.line : inspection.lines.joined(separator: "\n"))
    if let damage = inspection.damage {
      Output.message(damage.description)
      try Basics.ExitCode.checkFailed.end()
    }
  }

  /// The state of a run and of its stages, then its newest whole checkpoint.
  private func showRun() throws {
    let status = try JSON.parse(String(contentsOfFile: target + "/status.json", encoding: .utf8))
    let stages = status["stages"]?.arrayValue ?? []
    let names = stages.compactMap { $0["name"]?.stringValue }
    let newest = try CheckpointReader.newestValid(in: target, stages: names)
    if json {
      let rejected = newest.rejected.map { JSON.object([("path", .string($0.path)), ("reason", .string($0.reason))]) }
      Output.result(
        JSON.object([
          ("status", status), ("checkpoint", newest.path.map { .string($0) } ?? .null), ("rejected", .array(rejected)),
        ]).line)
    } else {
      for member in status.members ?? [] where member.key != "stages" {
        Output.result("\(member.key): \(member.value.stringValue ?? member.value.line)")
      }
      for (place, stage) in stages.enumerated() {
        Output.result(
          "stage \(place + 1)/\(stages.count) \(stage["name"]?.stringValue ?? "?"): \(stage["state"]?.stringValue ?? "?"), "
            + "step \(stage["step"]?.intValue ?? 0) of \(stage["steps"]?.intValue ?? 0)")
      }
      for rejected in newest.rejected { Output.result("damaged: \(rejected.path): \(rejected.reason)") }
      Output.result("newest whole checkpoint: \(newest.path ?? "none")")
      if let path = newest.path { try showFile(path) }
    }
    if verify, !newest.rejected.isEmpty { try Basics.ExitCode.checkFailed.end() }
  }

  private func showData() throws {
    let source = try openWithLabelsIfThereAreAny()
    if json {
      Output.result(
        JSON.object([
          ("address", .string(source.address)), ("images", .int(source.count)),
          ("classes", .array(source.classNames.map { .string($0) })), ("skipped_files", .int(source.skippedFiles)),
          ("fingerprint", .string(String(source.fingerprint, radix: 16))),
        ]).line)
      return
    }
    Output.result("\(source.address): \(source.count) images")
    if source.skippedFiles > 0 { Output.result("files that are no JPEG: \(source.skippedFiles)") }
    var counts = [Int](repeating: 0, count: source.classNames.count)
    for i in 0..<source.count where source.label(i) >= 0 { counts[Int(source.label(i))] += 1 }
    for (name, count) in zip(source.classNames, counts).prefix(20) { Output.result("  \(name): \(count)") }
    if counts.count > 20 { Output.result("  and \(counts.count - 20) more classes") }
  }

  private func openWithLabelsIfThereAreAny() throws(Failure) -> DataSource {
    let plain = try DataSource.open(target, labels: false)
    return (try? DataSource.open(target, labels: true)) ?? plain
  }
}
