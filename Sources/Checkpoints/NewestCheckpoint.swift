import Basics
import Messaging
import Storage

/// What a search for a checkpoint to resume from found.
public struct NewestCheckpoint: Sendable, Equatable {
  /// A file that was passed over.
  public struct Rejected: Sendable, Equatable {
    /// Its path.
    public let path: String
    /// Why, in one sentence.
    public let reason: String
  }

  /// The newest file that is whole; nil when there is none.
  public let path: String?
  /// The newer ones that are damaged, newest first.
  public let rejected: [Rejected]
}

extension CheckpointReader {
  /// The newest checkpoint of a run that is whole, every byte verified: of the last stage that has one, the highest
  /// step.
  ///
  /// Names decide the order, so a link or a modification time cannot mislead it. Partial and foreign files are not
  /// looked at, and a bad file is a reason to look further, never an error.
  /// - Parameters:
  ///   - runDirectory: the folder that holds `checkpoints/`.
  ///   - stages: the stages of the run in their order: a later one is newer whatever its step. Stages that are not
  ///     named count as older; among themselves the highest step is the newest.
  /// - Throws: only when ranks cannot talk to each other.
  /// - Collective: all ranks of `communicator`, with the same answer on all; local without one.
  public static func newestValid(
    in runDirectory: String, stages: [String] = [], communicator: Communicator? = nil
  ) throws(Failure) -> NewestCheckpoint {
    try newest(communicator) {
      let root = "\(runDirectory)/checkpoints"
      let found = Directory.entries(root).flatMap { stage in
        CheckpointFolder.checkpoints("\(root)/\(stage)").map {
          (place: stages.firstIndex(of: stage) ?? -1, step: $0.step, path: $0.path)
        }
      }
      // Equal steps of two stages: the name decides, so that the order is the same everywhere.
      return found.sorted { ($0.place, $0.step, $0.path) > ($1.place, $1.step, $1.path) }.map(\.path)
    }
  }

  /// The newest whole checkpoint of one stage: the highest step in its folder.
  ///
  /// - Throws: only when ranks cannot talk to each other.
  /// - Collective: all ranks of `communicator`, with the same answer on all; local without one.
  public static func newestValid(
    inStage directory: String, communicator: Communicator? = nil
  ) throws(Failure) -> NewestCheckpoint {
    try newest(communicator) { CheckpointFolder.checkpoints(directory).map(\.path) }
  }

  /// The newest checkpoint of one stage by its name, whole or not; nil when there is none.
  ///
  /// - Collective: local.
  public static func newestNamed(inStage directory: String) -> (step: Int, path: String)? {
    CheckpointFolder.checkpoints(directory).first
  }

  /// The first of the candidates that is whole. Rank 0 looks for them, so that all ranks see the same list.
  private static func newest(
    _ communicator: Communicator?, _ candidates: () -> [String]
  ) throws(Failure) -> NewestCheckpoint {
    let paths: [String]
    if let communicator {
      let own = communicator.rank == 0 ? candidates() : []
      let list = try communicator.broadcast(JSON.array(own.map { .string($0) }).line)
      paths = (try JSON.parse(list).arrayValue ?? []).compactMap(\.stringValue)
    } else {
      paths = candidates()
    }
    var rejected: [NewestCheckpoint.Rejected] = []
    for path in paths {
      do throws(Failure) {
        try verify(path, communicator: communicator)
        return NewestCheckpoint(path: path, rejected: rejected)
      } catch {
        rejected.append(NewestCheckpoint.Rejected(path: path, reason: error.what))
      }
    }
    return NewestCheckpoint(path: nil, rejected: rejected)
  }

  /// How tensors fit those of a checkpoint; nothing is loaded.
  ///
  /// - Throws: code 66 when there is no file, 65 when its table of contents is damaged.
  /// - Collective: all ranks of `communicator`.
  public static func compare(
    _ tensors: [NamedTensor], with path: String, communicator: Communicator
  ) throws(Failure) -> LoadReport {
    LoadReport(try CheckpointIndex.shared(path, communicator), tensors)
  }
}
