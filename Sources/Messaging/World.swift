import Basics
import CMPI
import Glibc
import Synchronization

/// All ranks of the job. There is one in a process, from `start()` to `finish()`.
public final class World: Sendable {
  private enum State: Sendable {
    case waiting
    case running(World)
    case failed(Failure)
    case over
  }

  private static let state = Mutex<State>(.waiting)
  private static let mpiIsUp = Atomic<Bool>(false)

  /// Communication with all ranks.
  public let communicator: Communicator
  private let thread: CommunicationThread
  private let watchdog: Watchdog

  /// The host of each rank.
  public var hostNames: [String] { communicator.hostNames }

  private init(thread: CommunicationThread, layout: WorldLayout, board: StatusBoard, channel: SideChannel?) {
    self.thread = thread
    communicator = Communicator(layout: layout, thread: thread, status: board.slot(layout.nodeRank))
    watchdog = Watchdog(layout: layout, board: board, channel: channel, thread: thread)
  }

  /// Starts MPI on a thread of its own; without `mpirun` the world has one rank.
  ///
  /// Called again, it returns the running world. A process that leaves by `exit(0)` without `finish()` finishes then.
  /// - Throws: `.unavailable` when the library has no thread support, or when the launcher started another number of
  ///   processes than MPI sees.
  /// - Collective: all ranks of the job.
  public static func start() throws(Failure) -> World {
    try state.withLock { state throws(Failure) -> World in
      switch state {
      case .running(let world): return world
      case .failed(let failure): throw failure
      case .over: throw .worldIsOver
      case .waiting: break
      }
      let thread = CommunicationThread()
      let result = StartResult()
      do throws(Failure) {
        try thread.submit(.start(result), phase: Phase(name: "start")).wait()
      } catch {
        state = .failed(error)
        throw error
      }
      guard let (layout, board, channel) = result.session else {
        throw Failure(.internalError, "MPI start gave no layout")
      }
      let world = World(thread: thread, layout: layout, board: board, channel: channel)
      mpiIsUp.store(true, ordering: .releasing)
      state = .running(world)
      on_exit({ status, _ in if status == 0 { World.finishRunning() } }, nil)
      return world
    }
  }

  /// Ends the job with exit code 5 when an operation takes longer than this, and names the ranks that are missing.
  ///
  /// Does nothing in a world of one rank. Called again, it changes the limit. `Communicator.enter(phase:)` can give a
  /// phase a limit of its own. Time during which this process is stopped does not count.
  /// - Parameters:
  ///   - hangTimeout: more than 0 seconds.
  public func watch(hangTimeout: Double) {
    precondition(hangTimeout > 0, "watch: hangTimeout \(hangTimeout)")
    if communicator.size > 1 { watchdog.watch(hangTimeout: hangTimeout) }
  }

  /// Ends MPI when all ranks have come here. Later calls do nothing.
  ///
  /// After a failed operation an orderly end is not possible: then it aborts the job with the failure's code.
  /// - Collective: all ranks of the job.
  public func finish() { World.finishRunning() }

  private static func finishRunning() {
    let running: World? = state.withLock { state in
      guard case .running(let world) = state, !world.thread.isCurrent else { return nil }
      state = .over
      return world
    }
    guard let world = running else { return }
    do throws(Failure) {
      world.communicator.enter(phase: "end")
      try world.communicator.barrier()
      if let failure = world.thread.broken { throw failure }
    } catch {
      abort(error.code)
    }
    world.watchdog.stop()
    mpiIsUp.store(false, ordering: .releasing)
    _ = try? world.thread.submit(.finish, phase: Phase(name: "end")).wait()
  }

  /// Ends the processes of all ranks at once, from any thread, whatever the others are waiting for.
  ///
  /// It prints nothing itself: print the reason first.
  /// - Parameters:
  ///   - code: not `.done`.
  public static func abort(_ code: ExitCode) -> Never {
    precondition(code != .done, "World.abort: needs a code that says what is wrong")
    let status = code.rawValue
    // The library's own end may wait for something that never comes.
    startThread(named: "abort") {
      sleep(5)
      _exit(status)
    }
    fflush(nil)
    if mpiIsUp.load(ordering: .acquiring) { MPI_Abort(cmpi_comm_world(), status) }
    _exit(status)
  }
}
