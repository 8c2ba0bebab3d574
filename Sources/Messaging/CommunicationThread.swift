import Basics
import CMPI
import Glibc
import Synchronization

/// The one thread of a rank that calls MPI.
///
/// Callers queue descriptors; the thread takes them in order and runs each as a blocking call, so that
/// communication moves on while the caller computes. With nothing to do it sleeps.
final class CommunicationThread: Sendable {
  private struct Descriptor: @unchecked Sendable {
    let operation: Operation
    let request: Request
    let phase: Phase
  }

  private let queue = Mutex<[Descriptor]>([])
  private let current = Mutex<InFlight?>(nil)
  private let fault = Mutex<Failure?>(nil)
  private let statusSlot = Mutex<StatusSlot?>(nil)
  private let identity = Atomic<UInt>(0)
  private let limit = Atomic<Int>(1 << 30)
  private let work = Bell()
  private let done = Bell()

  init() {
    startThread(named: "communication") { self.serve() }
  }

  /// The most bytes one MPI call moves.
  var chunkBytes: Int {
    get { limit.load(ordering: .relaxed) }
    set { limit.store(newValue, ordering: .relaxed) }
  }

  /// The operation that MPI works on right now.
  var inFlight: InFlight? { current.withLock { $0 } }

  /// The first failure of an MPI call; nothing is communicated after it.
  var broken: Failure? { fault.withLock { $0 } }

  /// Whether the caller is the communication thread itself.
  var isCurrent: Bool { identity.load(ordering: .acquiring) == UInt(pthread_self()) }

  /// Queues an operation; operations are done in the order of these calls.
  func submit(_ operation: Operation, phase: Phase) -> Request {
    let request = Request(bell: done)
    let descriptor = Descriptor(operation: operation, request: request, phase: phase)
    queue.withLock { $0.append(descriptor) }
    work.ring()
    return request
  }

  private func serve() {
    identity.store(UInt(pthread_self()), ordering: .releasing)
    var session: MPISession?
    var sequence = 0
    while true {
      work.wait { queue.withLock { !$0.isEmpty } }
      let descriptor = queue.withLock { $0.removeFirst() }
      let kind = descriptor.operation.kind
      if kind.isCollective { sequence += 1 }
      let start = monotonicSeconds()
      let slot = statusSlot.withLock { $0 }
      slot?.enter(kind, sequence: sequence, at: start)
      current.withLock {
        $0 = InFlight(kind: kind, sequence: sequence, phase: descriptor.phase, started: start)
      }
      let failure = attempt(descriptor.operation, &session)
      current.withLock { $0 = nil }
      if session != nil { slot?.leave() }
      descriptor.request.complete(failure, busySeconds: monotonicSeconds() - start)
      if kind == .finish { return }
    }
  }

  private func attempt(_ operation: Operation, _ session: inout MPISession?) -> Failure? {
    do throws(Failure) {
      switch operation {
      case .start(let result):
        let started = try MPISession()
        session = started
        statusSlot.withLock { $0 = started.board.slot(started.layout.nodeRank) }
        result.session = (started.layout, started.board, started.channel)
      case .finish:
        session?.finish()
        session = nil
      case .task(let code): code.run()
      default:
        if let broken { throw broken }
        try session?.perform(operation, chunkBytes: chunkBytes)
      }
      return nil
    } catch {
      fault.withLock { if $0 == nil { $0 = error } }
      return error
    }
  }
}

/// What the start of MPI found.
final class StartResult {
  var session: (layout: WorldLayout, board: StatusBoard, channel: SideChannel?)?
}

/// A named part of a run, with the time after which an operation in it counts as hung.
struct Phase: Sendable {
  var name: String
  /// Seconds; nil stands for the watchdog's own limit.
  var hangTimeout: Double?
}

/// The operation that the communication thread works on.
struct InFlight: Sendable {
  var kind: OperationKind
  /// The number of the last collective operation entered, this one included.
  var sequence: Int
  var phase: Phase
  var started: Double
}
