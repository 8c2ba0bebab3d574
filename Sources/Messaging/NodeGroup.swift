import Basics
import CMPI

/// Who shares a node with whom, and the ways between nodes: for data of which each node needs one copy.
///
/// Among nodes only the first rank of each, its leader, sends and receives; the others read what it got in memory that
/// they share with it.
public final class NodeGroup: @unchecked Sendable {
  /// The ranks of each node in rising order; nodes are ordered by their lowest rank. The same on all ranks.
  public let nodes: [[Int]]
  /// The number of this rank's node.
  public let index: Int
  /// This rank's place among the ranks of its node.
  public let rank: Int
  private let ranks: WindowRanks

  /// The number of ranks of this node.
  public var count: Int { nodes[index].count }
  /// Whether this rank stands for its node among the nodes.
  public var isLeader: Bool { rank == 0 }

  /// Finds out, and makes the communicators.
  /// - Collective: all ranks of `world`.
  init(
    world: MPI_Comm, _ layout: WorldLayout, node: MPI_Comm, ranksPerNode: Int?, place: String
  ) throws(Failure) {
    ranks = try WindowRanks(world: world, node: node, ranksPerWindow: ranksPerNode, place: place)
    var leader = Int32(layout.rank)
    try MPISession.check(MPI_Bcast(&leader, 1, cmpi_int32(), 0, ranks.group), "MPI_Bcast", place)
    var leaders = [Int32](repeating: 0, count: layout.size)
    try MPISession.check(
      MPI_Allgather(&leader, 1, cmpi_int32(), &leaders, 1, cmpi_int32(), world), "MPI_Allgather", place)
    let order = Set(leaders).sorted()
    nodes = order.map { leader in leaders.indices.filter { leaders[$0] == leader } }
    index = order.firstIndex(of: leader) ?? 0
    rank = ranks.rank
  }

  /// Gives the communicators back. Collective: all ranks.
  func free() { ranks.free() }

  /// - Collective: the ranks of each node.
  func synchronise(place: String) throws(Failure) {
    if count > 1 { try MPISession.check(MPI_Barrier(ranks.group), "MPI_Barrier", place) }
  }

  /// - Collective: all ranks.
  func gather(
    _ base: UnsafeMutableRawPointer, bytes: [Int], chunk: Int, _ traffic: Traffic?, place: String
  ) throws(Failure) {
    // The leader sends what the others have written; they read what it has received.
    try synchronise(place: place)
    guard nodes.count > 1 else { return }
    if isLeader, let leaders = ranks.lane {
      let exchange = RankExchange(communicator: leaders, rank: index, size: nodes.count, place: place)
      try exchange.allGather(nil, bytes: bytes, into: base, chunk: chunk, traffic)
    }
    try synchronise(place: place)
  }

  /// - Collective: all ranks of `world`.
  func share(bytes: Int, remedy: String, world: MPI_Comm, place: String) throws(Failure) -> SharedMemoryOutcome {
    // Every rank takes as large a part.
    try SharedMemory.openEverywhere(
      bytesPerRank: SharedMemory.wholePages(max((bytes + count - 1) / count, 1)), world: world, ranks, place: place,
      remedy: remedy)
  }
}

/// Memory of which a node has one block, that all of its ranks read and write.
public final class NodeBlock: @unchecked Sendable {
  /// The first byte; zeros at first, aligned to a page. The block lives as long as this object.
  public let base: UnsafeMutableRawPointer
  /// How many bytes were asked for.
  public let bytes: Int
  private let memory: SharedMemory

  init(_ memory: SharedMemory, bytes: Int) {
    self.memory = memory
    self.bytes = bytes
    base = memory.base
  }

  deinit { memory.unmap() }

  /// The bytes that the system holds for the block.
  public var mappedBytes: Int { memory.bytes }
}

extension Communicator {
  /// The ranks of this rank's node and of the others. Made once; later calls return the same.
  /// - Collective: all ranks.
  public func nodeGroup() throws(Failure) -> NodeGroup { try nodeGroup(ranksPerNode: nil) }

  /// The same with nodes pretended by cutting each into parts of `ranksPerNode` ranks.
  package func nodeGroup(ranksPerNode: Int?) throws(Failure) -> NodeGroup {
    if let known = nodeGroups.withLock({ $0[ranksPerNode ?? 0] }) { return known }
    let result = NodeGroupResult()
    try submit(.groupNodes(ranksPerNode: ranksPerNode, result)).wait()
    guard let group = result.group else { throw Failure(.internalError, "MPI made no groups of nodes") }
    nodeGroups.withLock { $0[ranksPerNode ?? 0] = group }
    return group
  }

  /// A block of memory for each node, for data that outlives a call and of which a node needs one copy.
  ///
  /// Its pages are taken at once, a part by each rank in rank order, so that a part lies close to its rank. Where no
  /// two ranks share a node it is ordinary memory.
  /// - Parameters:
  ///   - bytes: the same on all ranks.
  ///   - remedy: what a user can do where /dev/shm has no room, beside enlarging it: `set ...`.
  /// - Throws: `.unavailable` when a node has no room.
  /// - Collective: all ranks.
  public func nodeBlock(bytes: Int, in group: NodeGroup, remedy: String) throws(Failure) -> NodeBlock {
    precondition(bytes >= 0, "nodeBlock: \(bytes) bytes")
    let result = NodeBlockResult()
    try submit(.shareBlock(group, bytes: bytes, remedy: remedy, result)).wait()
    switch result.outcome {
    case .open(let memory): return NodeBlock(memory, bytes: bytes)
    case .refused(let failure):
      try agree(failure)
      throw Failure(.internalError, "memory was refused and no rank knows why")
    }
  }

  /// Returns when all ranks of this rank's node have called it; what they wrote before is then seen by all of them.
  /// - Collective: all ranks.
  public func synchronise(_ group: NodeGroup) throws(Failure) {
    guard size > 1 else { return }
    try submit(.nodeBarrier(group)).wait()
  }

  /// Brings what each node has to all nodes: the parts of the nodes stand one after the other at `base`, which lies in
  /// memory that the ranks of a node share, each node's own part in its place. Only leaders send and receive.
  /// - Parameters:
  ///   - bytes: the length of each node's part.
  ///   - traffic: counts what is sent and received.
  /// - Returns: when every rank sees all parts and every rank of its node has called this.
  /// - Collective: all ranks, with the same `bytes`.
  public func gather(
    _ base: UnsafeMutableRawPointer, bytes: [Int], among group: NodeGroup, counting traffic: Traffic? = nil
  ) throws(Failure) {
    precondition(bytes.count == group.nodes.count, "gather: \(bytes.count) lengths for \(group.nodes.count) nodes")
    guard size > 1 else { return }
    try submit(.nodeGather(group, base, bytes: bytes, traffic)).wait()
  }
}

/// Where the communication thread leaves the groups of nodes.
final class NodeGroupResult {
  var group: NodeGroup?
}

/// Where the communication thread leaves what became of a block.
final class NodeBlockResult {
  var outcome = SharedMemoryOutcome.refused(nil)
}
