import Basics
import Features

/// One run of a protocol with all that its numbers depend on: the JSON object that is written for it.
///
/// - Source: spec/evaluation.md 1.6.
public struct EvaluationRecord: Sendable {
  /// The version of the protocols; a change that changes numbers raises it.
  public static let specVersion = "1"

  /// The protocol.
  public let name: String
  /// What it measured.
  public let report: EvaluationReport
  /// Where the features came from.
  public let origin: FeatureOrigin
  /// Images of the split that was measured on.
  public let images: Int
  /// The first key of every random draw.
  public let seed: UInt64
  /// From the first feature to the last number.
  public let seconds: Double
  /// Ranks, and threads of this one.
  public let ranks, threads: Int

  /// Everything, for a file.
  public var json: JSON {
    let head: [(String, JSON)] = [
      ("protocol", .string(name)), ("spec_version", .string(EvaluationRecord.specVersion)),
      ("checkpoint", .string(origin.checkpoint)), ("checkpoint_sha256", .string(origin.checkpointHash)),
      ("weights", .string(origin.weights)), ("feature", .string(origin.feature)),
      ("transform", .string(origin.transform)),
      (
        "dataset",
        .object([("address", .string(origin.data)), ("images", .int(images)), ("hash", .string(origin.dataHash))])
      ),
      ("seed", .string(String(seed))), ("seconds", .double(seconds)), ("ranks", .int(ranks)),
      ("threads", .int(threads)),
    ]
    return .object(head + (report.json.members ?? []).map { ($0.key, $0.value) })
  }

  /// What the terminal shows: the headline, or every number when there are few.
  public var lines: [String] {
    let shown = report.headline.isEmpty ? report.metrics.map(\.name) : report.headline
    let rows = shown.compactMap { name in report[name].map { (name: name, text: EvaluationRecord.rounded($0)) } }
    let width = rows.map(\.name.count).max() ?? 0
    let title = [name, origin.weights, origin.feature, origin.data].filter { !$0.isEmpty }.joined(separator: " · ")
    let hidden = report.metrics.count - rows.count
    return [title]
      + rows.map { "  " + $0.name + String(repeating: " ", count: width - $0.name.count) + "  " + $0.text }
      + (hidden > 0 ? ["  and \(hidden) more numbers in the report"] : [])
      + report.notes.map { "  note: \($0)" }
  }

  /// A whole number as it is, another with four digits behind the point.
  private static func rounded(_ value: Double) -> String {
    value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : String((value * 1e4).rounded() / 1e4)
  }
}
