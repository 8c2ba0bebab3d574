import Basics
import Messaging

/// The compute threads of commands that do not train.
public enum ComputeThreads {
  /// Chooses this rank's compute threads as training does, and starts them.
  ///
  /// - Parameter asked: threads of every rank; nil takes the cores that the ranks are bound to.
  /// - Returns: the threads of this rank, and what the user should know about them.
  /// - Collective: all ranks.
  @discardableResult
  public static func configure(
    asked: Int?, _ communicator: Communicator
  ) throws(Failure) -> (threads: Int, warning: String?) {
    let choice = ThreadChoice(
      asked: asked, ranks: try RankCores.gather(communicator), hostNames: communicator.hostNames)
    let threads = choice.threads[communicator.rank]
    ThreadTeam.configure(threads: threads)
    return (threads, choice.warning)
  }
}
