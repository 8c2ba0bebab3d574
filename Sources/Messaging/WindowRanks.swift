import Basics
import CMPI

/// Who adds with whom: the ranks that share a window, and the ranks that add the same share on other nodes.
struct WindowRanks {
  /// The ranks that share this rank's window.
  let group: MPI_Comm
  /// This rank's number among them, and how many they are.
  let rank: Int
  let count: Int
  /// The number of ranks that add on every node: as many as the smallest node has.
  let lanes: Int
  let nodes: Int
  /// The ranks that add the same share on other nodes; nil on one node, and on a rank that adds nothing.
  let lane: MPI_Comm?
  /// Whether at least two ranks share a node somewhere; the same on all ranks.
  let isWorthwhile: Bool

  /// Finds out, and makes the communicators.
  /// - Parameters:
  ///   - ranksPerWindow: how many ranks of a node share a window; nil for all. Tests pretend nodes with it.
  /// - Collective: all ranks of `world`.
  init(world: MPI_Comm, node: MPI_Comm, ranksPerWindow: Int?, place: String) throws(Failure) {
    var nodeRank: Int32 = 0
    MPI_Comm_rank(node, &nodeRank)
    let color = ranksPerWindow.map { nodeRank / Int32($0) } ?? 0
    guard let group = try WindowRanks.split(node, color: color, key: nodeRank, place) else {
      throw Failure(.internalError, "MPI made no communicator", at: place)
    }
    self.group = group
    var rank: Int32 = 0
    var count: Int32 = 0
    MPI_Comm_rank(group, &rank)
    MPI_Comm_size(group, &count)
    // The ranks of the smallest node, as the largest negative, and those of the largest.
    var extremes = [-count, count]
    try MPISession.check(
      MPI_Allreduce(cmpi_in_place(), &extremes, 2, cmpi_int32(), cmpi_max(), world), "MPI_Allreduce", place)
    var leaders: Int32 = rank == 0 ? 1 : 0
    try MPISession.check(
      MPI_Allreduce(cmpi_in_place(), &leaders, 1, cmpi_int32(), cmpi_sum(), world), "MPI_Allreduce", place)
    self.rank = Int(rank)
    self.count = Int(count)
    lanes = Int(-extremes[0])
    nodes = Int(leaders)
    isWorthwhile = extremes[1] > 1
    lane = nodes == 1 ? nil : try WindowRanks.split(world, color: rank < lanes ? rank : cmpi_undefined(), key: 0, place)
  }

  /// Gives the communicators back. Collective: all ranks of `world`.
  func free() {
    var group: MPI_Comm? = group
    var lane = lane
    MPI_Comm_free(&group)
    if lane != nil { MPI_Comm_free(&lane) }
  }

  /// The ranks of the same color, in the order of their keys; nil for the undefined color.
  private static func split(_ comm: MPI_Comm, color: Int32, key: Int32, _ place: String) throws(Failure) -> MPI_Comm? {
    var made: MPI_Comm?
    try MPISession.check(MPI_Comm_split(comm, color, key, &made), "MPI_Comm_split", place)
    guard color != cmpi_undefined() else { return nil }
    MPI_Comm_set_errhandler(made, cmpi_errors_return())
    return made
  }
}
