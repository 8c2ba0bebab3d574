import Autodiff
import Basics
import Glibc
import Messaging

extension RankSum {
  /// Sums over all ranks of `communicator`.
  ///
  /// Backward cannot throw: when a rank or a link is lost, the rank that meets it says so and ends the whole job with
  /// the failure's exit code (5), as for any other message.
  /// - Collective: every sum, of all ranks.
  public init(over communicator: Communicator) {
    self.init { values, count in
      let sum = OpClock.measure(.communication) {
        Result { () throws(Failure) in try communicator.allReduceSum(values, count) }
      }
      guard case .failure(let failure) = sum else { return }
      let text = "\(communicator.name(ofRank: communicator.rank)): \(failure)\n"
      _ = Array(text.utf8).withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
      World.abort(failure.code)
    }
  }
}
