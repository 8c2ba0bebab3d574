import Basics
import CMPI
import Glibc

/// The MPI library, as seen by the communication thread: the only place that calls it.
///
/// Every call blocks. Counts above `chunkBytes` are cut into slices, since MPI counts are 32 bits wide.
final class MPISession {
  let layout: WorldLayout
  let board: StatusBoard
  let channel: SideChannel?
  private let communicator: MPI_Comm
  private let nodeCommunicator: MPI_Comm
  private var window: MPI_Win?
  private var windowSum: WindowSum?
  private var nodeGroups: [NodeGroup] = []

  /// Starts MPI. Collective.
  init() throws(Failure) {
    let environment =
      LaunchCheck.variables.map { ($0, value(of: $0)) } + [("SLURM_STEP_ID", value(of: "SLURM_STEP_ID"))]
    var provided: Int32 = 0
    try MPISession.check(MPI_Init_thread(nil, nil, cmpi_thread_funneled(), &provided), "MPI_Init_thread", "start")
    guard provided >= cmpi_thread_funneled() else { throw .threadLevel(provided: provided) }
    let world: MPI_Comm = cmpi_comm_world()
    MPI_Comm_set_errhandler(world, cmpi_errors_return())
    MPI_Comm_set_errhandler(cmpi_comm_self(), cmpi_errors_return())
    var rank: Int32 = 0
    var size: Int32 = 0
    MPI_Comm_rank(world, &rank)
    MPI_Comm_size(world, &size)
    if let fault = LaunchCheck.fault(
      size: Int(size), environment: { name in environment.first { $0.0 == name }?.1 })
    {
      throw fault
    }
    let host = hostName()
    let place = "rank \(rank) (\(host))"
    var own: MPI_Comm?
    try MPISession.check(MPI_Comm_dup(world, &own), "MPI_Comm_dup", place)
    var node: MPI_Comm?
    try MPISession.check(
      MPI_Comm_split_type(world, cmpi_comm_type_shared(), rank, cmpi_info_null(), &node), "MPI_Comm_split_type", place)
    guard let own, let node else { throw Failure(.internalError, "MPI made no communicator", at: place) }
    MPI_Comm_set_errhandler(own, cmpi_errors_return())
    MPI_Comm_set_errhandler(node, cmpi_errors_return())
    communicator = own
    nodeCommunicator = node
    var nodeRank: Int32 = 0
    var nodeSize: Int32 = 0
    MPI_Comm_rank(node, &nodeRank)
    MPI_Comm_size(node, &nodeSize)
    (board, window) = try MPISession.makeBoard(node: node, rank: Int(nodeRank), size: Int(nodeSize), place: place)
    // The lowest world rank of a node stands for it: its number orders the nodes.
    var leader = rank
    try MPISession.check(MPI_Bcast(&leader, 1, cmpi_int32(), 0, node), "MPI_Bcast", place)
    var leaders = [Int32](repeating: 0, count: Int(size))
    try MPISession.check(
      MPI_Allgather(&leader, 1, cmpi_int32(), &leaders, 1, cmpi_int32(), own), "MPI_Allgather", place)
    let names = try MPISession.gather(
      Array(host.utf8), root: nil, comm: own, rank: Int(rank), size: Int(size), chunkBytes: 1 << 20, place: place)
    layout = WorldLayout(
      rank: Int(rank), size: Int(size), nodeRank: Int(nodeRank), nodeSize: Int(nodeSize),
      leaders: leaders.map(Int.init), hostNames: names.map { String(decoding: $0, as: UTF8.self) })
    channel = try MPISession.makeChannel(layout, own, place: place)
  }

  /// Ends MPI. Collective.
  func finish() {
    channel?.closeSocket()
    windowSum?.close()
    for group in nodeGroups { group.free() }
    if window != nil { MPI_Win_free(&window) }
    var node: MPI_Comm? = nodeCommunicator
    var own: MPI_Comm? = communicator
    MPI_Comm_free(&node)
    MPI_Comm_free(&own)
    MPI_Finalize()
  }

  private var world: RankExchange {
    RankExchange(communicator: communicator, rank: layout.rank, size: layout.size, place: place)
  }

  private var place: String { "rank \(layout.rank) (\(layout.hostNames[layout.rank]))" }

  /// Does one operation and blocks until it is over here.
  func perform(_ operation: Operation, chunkBytes: Int) throws(Failure) {
    switch operation {
    case .allReduce(let values, let count, let element, let reduction):
      try allReduce(values, count: count, element, reduction, chunk: max(1, chunkBytes / element.bytes))
    case .windowSum(let values, let count):
      try openedWindow.add(values, count: count, chunkBytes: chunkBytes)
    case .nodeSum(let memory, let range):
      try openedWindow.add(memory, range, chunkBytes: chunkBytes)
    case .nodeReuse(let memory, let releases):
      try openedWindow.waitForReaders(of: memory, releases: releases)
    case .openWindow(let ranksPerWindow, let pieceFloats, let result):
      try openWindow(ranksPerWindow, pieceFloats, result)
    case .closeWindow:
      windowSum?.close()
      windowSum = nil
    case .shareMemory(let parts, let result):
      result.outcome = try openedWindow.share(parts: parts, world: communicator)
    case .broadcast(let start, let bytes, let root):
      try broadcast(start, bytes: bytes, root: root, chunk: chunkBytes)
    case .gather(let bytes, let root, let result):
      result.parts = try MPISession.gather(
        bytes, root: root, comm: communicator, rank: layout.rank, size: layout.size, chunkBytes: chunkBytes,
        place: place)
    case .groupNodes(let ranksPerNode, let result):
      let group = try NodeGroup(
        world: communicator, layout, node: nodeCommunicator, ranksPerNode: ranksPerNode, place: place)
      nodeGroups.append(group)
      result.group = group
    case .shareBlock(let group, let bytes, let remedy, let result):
      result.outcome = try group.share(bytes: bytes, remedy: remedy, world: communicator, place: place)
    case .allGather(let source, let bytes, let target, let traffic):
      try world.allGather(source, bytes: bytes, into: target, chunk: chunkBytes, traffic)
    case .nodeGather(let group, let base, let bytes, let traffic):
      try group.gather(base, bytes: bytes, chunk: chunkBytes, traffic, place: place)
    case .exchange(let numbers, let traffic):
      try world.exchange(numbers, traffic)
    case .allToAll(let exchange, let traffic):
      try world.exchange(exchange, chunk: chunkBytes, traffic)
    case .barrier:
      try MPISession.check(MPI_Barrier(communicator), "MPI_Barrier", place)
    case .nodeBarrier(let group):
      try group.synchronise(place: place)
    case .task, .start, .finish: break
    }
  }

  private var openedWindow: WindowSum {
    get throws(Failure) {
      guard let windowSum else { throw Failure(.internalError, "a sum through a window that is not open", at: place) }
      return windowSum
    }
  }

  private func openWindow(_ ranksPerWindow: Int?, _ pieceFloats: Int?, _ result: WindowResult) throws(Failure) {
    let outcome = try WindowSum.open(
      world: communicator, node: nodeCommunicator, place: place, ranksPerWindow: ranksPerWindow,
      pieceFloats: pieceFloats)
    if case .open(let sum) = outcome { windowSum = sum }
    result.outcome = outcome
  }

  private func allReduce(
    _ values: UnsafeMutableRawPointer, count: Int, _ element: Element, _ reduction: Reduction, chunk: Int
  ) throws(Failure) {
    var start = 0
    while start < count {
      let length = min(chunk, count - start)
      try MPISession.check(
        MPI_Allreduce(
          cmpi_in_place(), values + start * element.bytes, Int32(length), element.datatype, reduction.handle,
          communicator),
        "MPI_Allreduce", place)
      start += length
    }
  }

  private func broadcast(_ base: UnsafeMutableRawPointer, bytes: Int, root: Int, chunk: Int) throws(Failure) {
    var start = 0
    while start < bytes {
      let length = min(chunk, bytes - start)
      try MPISession.check(
        MPI_Bcast(base + start, Int32(length), cmpi_byte(), Int32(root), communicator), "MPI_Bcast", place)
      start += length
    }
  }

  /// Byte strings of any length, in rounds of at most `chunkBytes` over all ranks together.
  private static func gather(
    _ bytes: [UInt8], root: Int?, comm: MPI_Comm, rank: Int, size: Int, chunkBytes: Int, place: String
  ) throws(Failure) -> [[UInt8]] {
    var own = Int64(bytes.count)
    var sizes = [Int64](repeating: 0, count: size)
    try check(MPI_Allgather(&own, 1, cmpi_int64(), &sizes, 1, cmpi_int64(), comm), "MPI_Allgather", place)
    let receives = root == nil || root == rank
    var parts = receives ? [[UInt8]](repeating: [], count: size) : []
    let share = max(1, chunkBytes / size)
    let longest = Int(sizes.max() ?? 0)
    var start = 0
    while start < longest {
      let counts = sizes.map { Int32(min(max(Int($0) - start, 0), share)) }
      var displacements: [Int32] = []
      var total: Int32 = 0
      for count in counts {
        displacements.append(total)
        total += count
      }
      var staging = [UInt8](repeating: 0, count: receives ? Int(total) : 0)
      let code = bytes.withUnsafeBytes { source in
        let from = source.baseAddress.map { $0 + min(start, bytes.count) }
        if let root {
          return MPI_Gatherv(
            from, counts[rank], cmpi_byte(), &staging, counts, displacements, cmpi_byte(), Int32(root), comm)
        }
        return MPI_Allgatherv(from, counts[rank], cmpi_byte(), &staging, counts, displacements, cmpi_byte(), comm)
      }
      try check(code, root == nil ? "MPI_Allgatherv" : "MPI_Gatherv", place)
      for part in parts.indices {
        let first = Int(displacements[part])
        parts[part].append(contentsOf: staging[first..<first + Int(counts[part])])
      }
      start += share
    }
    return parts
  }

  /// The words that the node's ranks share: rank 0 of the node owns the memory, the others map it.
  private static func makeBoard(
    node: MPI_Comm, rank: Int, size: Int, place: String
  ) throws(Failure) -> (StatusBoard, MPI_Win?) {
    let bytes = StatusBoard.words(slots: size) * MemoryLayout<Int64>.size
    var base: UnsafeMutableRawPointer?
    var window: MPI_Win?
    try check(
      MPI_Win_allocate_shared(rank == 0 ? bytes : 0, 8, cmpi_info_null(), node, &base, &window),
      "MPI_Win_allocate_shared", place)
    var length: MPI_Aint = 0
    var unit: Int32 = 0
    try check(MPI_Win_shared_query(window, 0, &length, &unit, &base), "MPI_Win_shared_query", place)
    guard let base else { throw Failure(.internalError, "MPI_Win_shared_query gave no memory", at: place) }
    if rank == 0 { memset(base, 0, bytes) }
    try check(MPI_Barrier(node), "MPI_Barrier", place)
    return (StatusBoard(base: base.assumingMemoryBound(to: Int64.self), slots: size), window)
  }

  /// The way from the first rank of each node to rank 0; nil where none is needed or to be had.
  private static func makeChannel(_ layout: WorldLayout, _ comm: MPI_Comm, place: String) throws(Failure)
    -> SideChannel?
  {
    guard Set(layout.leaders).count > 1 else { return nil }
    var invitation = [UInt8](repeating: 0, count: 256)
    var channel: SideChannel?
    if layout.rank == 0 {
      let nonce = Int64(monotonicSeconds() * 1e6) ^ Int64(getpid()) << 32
      if let (receiver, text) = SideChannel.receiver(nonce: nonce) {
        channel = receiver
        for (index, byte) in text.utf8.prefix(255).enumerated() { invitation[index] = byte }
      }
    }
    try check(MPI_Bcast(&invitation, Int32(invitation.count), cmpi_byte(), 0, comm), "MPI_Bcast", place)
    if layout.nodeRank == 0 && layout.rank != 0 {
      channel = SideChannel.sender(invitation: String(decoding: invitation.prefix { $0 != 0 }, as: UTF8.self))
    }
    return channel
  }

  static func check(_ code: Int32, _ call: String, _ place: String) throws(Failure) {
    if code != cmpi_success() { throw .mpi(call, code: code, place: place) }
  }
}

/// Who is who: fixed when MPI has started.
struct WorldLayout: Sendable {
  let rank: Int
  let size: Int
  let nodeRank: Int
  let nodeSize: Int
  /// For each rank the lowest rank of its node.
  let leaders: [Int]
  let hostNames: [String]

  /// The ranks of this rank's node, in node order.
  var nodeRanks: [Int] { leaders.indices.filter { leaders[$0] == leaders[rank] } }

  /// Whether rank 0 lives on this rank's node.
  var isOnNodeOfRankZero: Bool { leaders[rank] == leaders[0] }
}

private func hostName() -> String {
  var name = [CChar](repeating: 0, count: 256)
  gethostname(&name, name.count - 1)
  return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

private func value(of name: String) -> String? { getenv(name).map { String(cString: $0) } }
