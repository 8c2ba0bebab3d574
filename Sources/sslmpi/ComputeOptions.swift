import ArgumentParser
import Basics
import Messaging
import Training

/// What the commands that compute without training take.
struct ComputeOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Compute threads of a rank; the cores it is bound to without it.", valueName: "n"))
  var threads: Int?

  func validate() throws {
    if let threads { try requirePositive([("--threads", threads)]) }
  }

  /// Starts the threads and says what is wrong with their number.
  ///
  /// - Collective: all ranks.
  func configure(_ communicator: Communicator) throws(Failure) {
    let choice = try ComputeThreads.configure(asked: threads, communicator)
    if let warning = choice.warning { Output.message("warning: \(warning)") }
  }
}
