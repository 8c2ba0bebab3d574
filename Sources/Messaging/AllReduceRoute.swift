import Basics

/// What a user asks for: how sums of floats, the gradients, travel between the ranks of a node.
public enum AllReduceWish: String, CaseIterable, Sendable {
  /// Through shared memory where ranks share a node and the system gives it, else by `MPI_Allreduce`.
  case auto
  /// Through shared memory, or not at all.
  case window
  /// By `MPI_Allreduce`.
  case mpi
}

/// How sums of floats travel.
public enum AllReduceRoute: Equatable, Sendable {
  /// Through memory shared by the ranks of a node, and by `MPI_Allreduce` between nodes.
  case window
  /// By `MPI_Allreduce` alone; why, in a few words for the start of a run.
  case mpi(reason: String)
}

extension Communicator {
  /// Decides how sums of floats travel from now on; before the first call it is `MPI_Allreduce`.
  ///
  /// The order of summation differs between the two, so results differ by rounding; with two ranks on one node they
  /// are the same bit for bit. Either way sums repeat bit for bit and are the same on all ranks.
  /// - Parameters:
  ///   - wish: the same on all ranks.
  /// - Returns: the route, the same on all ranks; `auto` takes MPI when any node cannot share memory, and says so.
  /// - Throws: `.unavailable` when `window` is asked for and a node cannot share memory; `.badConfig` when no two
  ///   ranks share a node.
  /// - Collective: all ranks.
  @discardableResult
  public func chooseAllReduce(_ wish: AllReduceWish) throws(Failure) -> AllReduceRoute {
    try chooseAllReduce(wish, ranksPerWindow: nil, pieceFloats: nil)
  }

  /// The same with nodes pretended by cutting each into windows of `ranksPerWindow` ranks, and pieces of any size.
  package func chooseAllReduce(
    _ wish: AllReduceWish, ranksPerWindow: Int?, pieceFloats: Int?
  ) throws(Failure) -> AllReduceRoute {
    guard size > 1 else { return setRoute(.mpi(reason: "one rank")) }
    try submit(.closeWindow).wait()
    setRoute(.mpi(reason: "as set"))
    guard wish != .mpi else { return allReduceRoute }
    let result = WindowResult()
    try submit(.openWindow(ranksPerWindow: ranksPerWindow, pieceFloats: pieceFloats, result)).wait()
    switch result.outcome {
    case .open: return setRoute(.window)
    case .pointless:
      setRoute(.mpi(reason: "one rank on each node"))
      guard wish == .window else { return allReduceRoute }
      throw Failure(
        .badConfig, "runtime.comm.allreduce is window, but no two ranks share a node", at: "runtime.comm.allreduce",
        hint: "auto takes the window where there is one to take")
    case .refused(let failure):
      do {
        try agree(failure)
      } catch  where error.code == .unavailable && wish == .auto {
        return setRoute(.mpi(reason: error.what))
      }
      throw Failure(.internalError, "a window was refused and no rank knows why")
    }
  }
}

/// Where the communication thread leaves what became of a window.
final class WindowResult {
  var outcome = WindowOutcome.pointless
}
