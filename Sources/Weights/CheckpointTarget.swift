import Basics
import Checkpoints
import Foundation
import Messaging

/// What a user points at: a checkpoint, or a run whose newest whole checkpoint is meant.
public struct CheckpointTarget: Equatable, Sendable {
  /// The checkpoint.
  public let path: String
  /// The run directory, when one was named.
  public let run: String?
  /// What the user should know, for example a damaged checkpoint that was passed over.
  public let notices: [String]

  /// Finds the checkpoint.
  ///
  /// - Throws: input missing when there is nothing, or a run without a whole checkpoint.
  /// - Collective: all ranks, with the same answer on all.
  public init(_ target: String, _ communicator: Communicator) throws(Failure) {
    let found = try communicator.agreed { () throws(Failure) in
      communicator.rank == 0 ? try CheckpointTarget.stages(target) : nil
    }
    guard let stages = try CheckpointTarget.shared(found, communicator) else {
      self.init(path: target, run: nil, notices: [])
      return
    }
    let newest = try CheckpointReader.newestValid(in: target, stages: stages, communicator: communicator)
    guard let path = newest.path else {
      throw Failure(
        .inputMissing, "the run has no whole checkpoint", at: target,
        hint: newest.rejected.first.map { "\($0.path): \($0.reason)" } ?? "see sslmpi inspect \(target)")
    }
    self.init(
      path: path, run: target, notices: newest.rejected.map { "passed over \($0.path): \($0.reason)" })
  }

  private init(path: String, run: String?, notices: [String]) {
    self.path = path
    self.run = run
    self.notices = notices
  }

  /// The stages of a run, in their order; nil for a file.
  private static func stages(_ target: String) throws(Failure) -> [String]? {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: target, isDirectory: &isFolder) else {
      throw Failure(
        .inputMissing, "there is no such checkpoint or run", at: target,
        hint: "name a run directory, or a file such as RUN/checkpoints/last.h5")
    }
    guard isFolder.boolValue else { return nil }
    guard FileManager.default.fileExists(atPath: "\(target)/checkpoints") else {
      throw Failure(
        .inputMissing, "the folder is no run: it has no folder 'checkpoints'", at: target,
        hint: "name the folder that sslmpi pretrain wrote with --out, or a checkpoint")
    }
    // A run that was killed at its start may have no status yet; names alone then decide which is newest.
    guard let text = try? String(contentsOfFile: "\(target)/status.json", encoding: .utf8) else { return [] }
    return try JSON.parse(text)["stages"]?.arrayValue?.compactMap { $0["name"]?.stringValue } ?? []
  }

  /// What rank 0 found, on all ranks.
  private static func shared(_ stages: [String]?, _ communicator: Communicator) throws(Failure) -> [String]? {
    let own = stages.map { JSON.array($0.map { .string($0) }) } ?? .null
    let text = try communicator.broadcast(own.line)
    return try JSON.parse(text).arrayValue?.compactMap(\.stringValue)
  }
}
