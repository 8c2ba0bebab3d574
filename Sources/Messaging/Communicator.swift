import Basics
import CMPI
import Synchronization

/// Where a rank stands on its node.
public struct NodeInfo: Equatable, Sendable {
  /// The rank among the ranks of its node.
  public let rank: Int
  /// The number of ranks of this node.
  public let size: Int
  /// The number of this node; nodes are ordered by their lowest rank.
  public let index: Int
  /// The number of nodes.
  public let count: Int
}

/// Communication among all ranks: sums, broadcasts, gathers, agreement.
///
/// Every call is queued to the communication thread, in the order of the calls, which must be the same on all ranks.
/// Reductions repeat bit for bit with the same number of ranks and give the same bits on all of them. With one rank
/// nothing is sent and nothing is copied.
public final class Communicator: Sendable {
  /// The number of this process, from 0.
  public let rank: Int
  /// The number of processes.
  public let size: Int
  /// This rank's place on its node.
  public let node: NodeInfo
  /// The host of each rank.
  public let hostNames: [String]
  let thread: CommunicationThread
  private let status: StatusSlot
  private let currentPhase = Mutex(Phase(name: "start"))
  let nodeGroups = Mutex<[Int: NodeGroup]>([:])
  private let route = Mutex(AllReduceRoute.mpi(reason: "not chosen"))

  init(layout: WorldLayout, thread: CommunicationThread, status: StatusSlot) {
    rank = layout.rank
    size = layout.size
    hostNames = layout.hostNames
    var order: [Int] = []
    for leader in layout.leaders where !order.contains(leader) { order.append(leader) }
    node = NodeInfo(
      rank: layout.nodeRank, size: layout.nodeSize,
      index: order.firstIndex(of: layout.leaders[layout.rank]) ?? 0, count: order.count)
    self.thread = thread
    self.status = status
    status.setPhase("start")
  }

  /// Whether this is the rank that prints, makes directories and writes the metrics.
  public var isCoordinator: Bool { rank == 0 }

  /// A rank as messages name it: `rank 3 (host)`.
  public func name(ofRank rank: Int) -> String { "rank \(rank) (\(hostNames[rank]))" }

  // MARK: phases, for the watchdog's messages

  /// The part of the run that this rank is in.
  public var phase: String { currentPhase.withLock { $0.name } }

  /// Says which part of the run begins: the watchdog's messages name it. Local and cheap.
  /// - Parameters:
  ///   - hangTimeout: seconds after which an operation of this phase counts as hung; nil (default) for the limit
  ///     given to `World.watch`. Use it where one rank works alone while the others wait, as in a checkpoint.
  public func enter(phase name: String, hangTimeout: Double? = nil) {
    currentPhase.withLock { $0 = Phase(name: name, hangTimeout: hangTimeout) }
    status.setPhase(name)
  }

  // MARK: the queue

  /// The most bytes that one MPI call moves (default 1 GiB); larger operations are cut. The same on all ranks.
  package var chunkBytes: Int {
    get { thread.chunkBytes }
    set {
      precondition(newValue > 0, "chunkBytes \(newValue)")
      thread.chunkBytes = newValue
    }
  }

  /// How sums of floats travel. The same on all ranks.
  public var allReduceRoute: AllReduceRoute { route.withLock { $0 } }

  @discardableResult
  func setRoute(_ new: AllReduceRoute) -> AllReduceRoute {
    route.withLock { $0 = new }
    return new
  }

  func submit(_ operation: Operation) -> Request {
    thread.submit(operation, phase: currentPhase.withLock { $0 })
  }

  // MARK: foreign MPI calls

  /// Runs code that makes MPI calls of its own, such as collective HDF5, on the communication thread, and waits.
  ///
  /// The code may not use this communicator. It runs after everything queued before it.
  /// - Collective: when the code is.
  public func onCommunicationThread<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    if thread.isCurrent { return try body() }
    var result: Result<R, E>?
    withoutActuallyEscaping(body) { body in
      let request = submit(
        .task(
          ForeignCode {
            do throws(E) { result = .success(try body()) } catch { result = .failure(error) }
          }))
      // A task request never fails: what the code throws is in `result`.
      _ = try? request.wait()
    }
    guard let result else { preconditionFailure("onCommunicationThread: the code did not run") }
    return try result.get()
  }

  /// The library's handle of all ranks, for calls made inside `onCommunicationThread`.
  public var rawHandle: MPI_Comm { cmpi_comm_world() }
}
