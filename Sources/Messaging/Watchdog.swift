import Basics
import Glibc
import Synchronization

/// Notices an operation that does not end, says which ranks are missing, and ends the job.
///
/// Open MPI waits for ever for a rank that is stopped or a link that is dead. Each rank has this thread; it makes no
/// MPI call before the end, reads what the ranks of its node publish on the status board, and tells rank 0.
final class Watchdog: Sendable {
  private static let interval = 0.1
  private static let ticksPerDatagram = 10
  /// Rank 0 sees most: the other nodes give it this time to speak first.
  private static let courtesySeconds = 3.0

  private let layout: WorldLayout
  private let board: StatusBoard
  private let channel: SideChannel?
  private let thread: CommunicationThread
  private let limit = Mutex<Double?>(nil)
  private let isStopping = Atomic<Bool>(false)
  private let isOver = Atomic<Bool>(false)
  private let bell = Bell()

  init(layout: WorldLayout, board: StatusBoard, channel: SideChannel?, thread: CommunicationThread) {
    self.layout = layout
    self.board = board
    self.channel = channel
    self.thread = thread
  }

  /// Begins to watch; called again, it changes the limit.
  func watch(hangTimeout: Double) {
    let isFirst = limit.withLock { limit in
      let isFirst = limit == nil
      limit = hangTimeout
      return isFirst
    }
    if isFirst { startThread(named: "watchdog") { self.run() } }
  }

  /// Ends the thread, so that the board can be freed.
  func stop() {
    guard limit.withLock({ $0 }) != nil else { return }
    isStopping.store(true, ordering: .releasing)
    bell.wait { isOver.load(ordering: .acquiring) }
  }

  private func run() {
    let slot = board.slot(layout.nodeRank)
    let courtesy = layout.isOnNodeOfRankZero ? 0 : Watchdog.courtesySeconds
    var watch = Stopwatch()
    var remote: [Int: (sighting: Sighting, received: Double)] = [:]
    var tick = 0
    while !isStopping.load(ordering: .acquiring) {
      let now = monotonicSeconds()
      slot.beat(at: now)
      if layout.rank == 0 {
        for sighting in channel?.receive() ?? [] { remote[sighting.rank] = (sighting, now) }
      } else if tick % Watchdog.ticksPerDatagram == 0 {
        channel?.send(board, ranks: layout.nodeRanks, at: now)
      }
      let flight = thread.inFlight
      let waited = watch.waited(for: flight?.started, now: now)
      if let flight, let usual = limit.withLock({ $0 }), waited > (flight.phase.hangTimeout ?? usual) + courtesy {
        let far = remote.values.map { known in
          Sighting(
            rank: known.sighting.rank, status: known.sighting.status,
            silentSeconds: known.sighting.silentSeconds + now - known.received)
        }
        end(HangReport(flight: flight, waited: waited, layout: layout, sightings: (near(now) + far).inRankOrder))
      }
      tick += 1
      usleep(UInt32(Watchdog.interval * 1e6))
    }
    isOver.store(true, ordering: .releasing)
    bell.ring()
  }

  /// The ranks of this node.
  private func near(_ now: Double) -> [Sighting] {
    layout.nodeRanks.enumerated().map { index, rank in
      let status = board.slot(index).read()
      return Sighting(rank: rank, status: status, silentSeconds: now - status.heartbeat)
    }
  }

  private func end(_ report: HangReport) -> Never {
    if layout.rank != 0 && layout.isOnNodeOfRankZero && report.sightings.count < layout.size {
      // Rank 0 knows about the other nodes: it speaks, unless it is the one that hangs.
      if report.missing.allSatisfy({ $0.rank != 0 }) { sleep(1) }
    }
    if board.claim() {
      let text = report.failure.description + "\n"
      _ = Array(text.utf8).withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    } else {
      // Another rank of the node speaks; give its words time to come out.
      sleep(2)
    }
    World.abort(.rankLost)
  }
}

extension [Sighting] {
  fileprivate var inRankOrder: [Sighting] { sorted { $0.rank < $1.rank } }
}

/// Adds up the time an operation takes, without the time this process itself was stopped.
///
/// After a suspended job goes on, the clock has jumped by hours for all ranks and nothing hangs.
struct Stopwatch {
  private var operation: Double?
  private var last = 0.0
  private var total = 0.0

  /// The seconds lived since the operation that began at `started` was first seen.
  mutating func waited(for started: Double?, now: Double) -> Double {
    if started == nil || started != operation {
      operation = started
      total = 0
    } else {
      total += min(now - last, 1)
    }
    last = now
    return total
  }
}
