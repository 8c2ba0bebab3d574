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
  /// The newest checkpoint of a run that is whole: highest step over all stages, every byte verified.
  ///
  /// Names decide the order, so a link or a modification time cannot mislead it. Partial and foreign files are not
  /// looked at, and a bad file is a reason to look further, never an error.
  /// - Parameter runDirectory: the folder that holds `checkpoints/`.
  /// - Throws: only when ranks cannot talk to each other.
  /// - Collective: all ranks of `communicator`, with the same answer on all; local without one.
  public static func newestValid(
    in runDirectory: String, communicator: Communicator? = nil
  ) throws(Failure) -> NewestCheckpoint {
    var rejected: [NewestCheckpoint.Rejected] = []
    for path in try candidates(runDirectory, communicator) {
      do throws(Failure) {
        try verify(path, communicator: communicator)
        return NewestCheckpoint(path: path, rejected: rejected)
      } catch {
        rejected.append(NewestCheckpoint.Rejected(path: path, reason: error.what))
      }
    }
    return NewestCheckpoint(path: nil, rejected: rejected)
  }

  /// Rank 0 looks into the folders, so that all ranks see the same list.
  private static func candidates(_ runDirectory: String, _ communicator: Communicator?) throws(Failure) -> [String] {
    guard let communicator else { return candidates(runDirectory) }
    let own = communicator.rank == 0 ? candidates(runDirectory) : []
    let list = try communicator.broadcast(JSON.array(own.map { .string($0) }).line)
    return (try JSON.parse(list).arrayValue ?? []).compactMap(\.stringValue)
  }

  private static func candidates(_ runDirectory: String) -> [String] {
    let root = "\(runDirectory)/checkpoints"
    let found = Directory.entries(root).flatMap { CheckpointFolder.checkpoints("\(root)/\($0)") }
    // Equal steps of two stages: the name decides, so that the order is the same everywhere.
    return found.sorted { ($0.step, $0.path) > ($1.step, $1.path) }.map(\.path)
  }
}
