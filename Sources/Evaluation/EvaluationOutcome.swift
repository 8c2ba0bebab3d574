import Basics
import Foundation
import Messaging
import Storage

/// What a call of `sslmpi eval` measured: one record for each protocol and kind of feature.
public struct EvaluationOutcome: Sendable {
  /// The records in the order they were measured in.
  public let records: [EvaluationRecord]
  /// What was left out, and why.
  public let omitted: [(name: String, reason: String)]
  /// Where the report goes when nobody says; nil for nowhere.
  let defaultPath: String?

  /// One record as it is, several as `{"records": [...], "omitted": {...}}`.
  public var json: JSON {
    if records.count == 1, omitted.isEmpty { return records[0].json }
    return .object([
      ("records", .array(records.map(\.json))), ("omitted", .object(omitted.map { ($0.name, .string($0.reason)) })),
    ])
  }

  /// What the terminal shows.
  public var lines: [String] {
    records.flatMap(\.lines) + omitted.map { "\($0.name) left out: \($0.reason)" }
  }

  /// Writes the report, and beside it the tables and pictures that belong to it.
  ///
  /// - Parameter path: nil takes the default place, if there is one.
  /// - Returns: the path of the report; nil when none was written.
  /// - Throws: cannot create or I/O error.
  /// - Collective: all ranks; rank 0 writes.
  public func write(to path: String?, _ communicator: Communicator) throws(Failure) -> String? {
    guard let path = path ?? defaultPath else { return nil }
    try communicator.agreed { () throws(Failure) in
      guard communicator.rank == 0 else { return }
      let folder = (path as NSString).deletingLastPathComponent
      try Directory.create(folder.isEmpty ? "." : folder)
      try AtomicFile.write(json.line + "\n", to: path)
      let stem = (path as NSString).deletingPathExtension
      for record in records {
        for file in record.report.files { try AtomicFile.write(file.bytes, to: "\(stem).\(record.name).\(file.name)") }
      }
    }
    return path
  }
}
