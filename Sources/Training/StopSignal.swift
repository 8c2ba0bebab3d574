import Basics
import Glibc
import Synchronization

/// Asks for an orderly end: a signal, the time limit or the deadline of the batch job.
///
/// Handlers only set a flag; the loop looks at it at the step boundary and all ranks agree there.
enum StopSignal {
  private static let received = Atomic<Int32>(0)

  /// Catches SIGINT, SIGTERM and SIGUSR1 from now on. A second SIGINT ends the process at once.
  static func install() {
    for number in [SIGINT, SIGTERM, SIGUSR1] {
      signal(number) { caught in
        if caught == SIGINT, StopSignal.received.load(ordering: .relaxed) == SIGINT { _exit(128 + SIGINT) }
        StopSignal.received.store(caught, ordering: .relaxed)
      }
    }
  }

  /// The signal this rank received, or nil.
  static var pending: Int32? {
    let number = received.load(ordering: .relaxed)
    return number == 0 ? nil : number
  }

  /// The name a user knows the signal by.
  static func name(_ number: Int32) -> String {
    switch number {
    case SIGINT: return "Ctrl-C (SIGINT)"
    case SIGTERM: return "SIGTERM"
    case SIGUSR1: return "SIGUSR1"
    default: return "signal \(number)"
    }
  }
}

/// The wall-clock end of this run, from `--time-limit` or the `SSLMPI_DEADLINE` of a batch script.
struct Deadline {
  private let end: Double?

  /// - Parameters:
  ///   - timeLimit: seconds from `start`, or nil.
  ///   - deadline: seconds since the epoch, as `SSLMPI_DEADLINE` gives it, or nil.
  ///   - start: on the monotonic clock.
  init(timeLimit: Double?, deadline: Double?, start: Double = monotonicSeconds()) {
    let fromLimit = timeLimit.map { start + $0 }
    let fromDeadline = deadline.map { monotonicSeconds() + $0 - Double(time(nil)) }
    end = [fromLimit, fromDeadline].compactMap { $0 }.min()
  }

  /// Whether a step of `step` seconds and a save of `save` seconds would no longer fit.
  func isNear(step: Double, save: Double) -> Bool {
    guard let end else { return false }
    return monotonicSeconds() + 2 * step + 1.5 * save > end
  }

  /// Seconds left, or nil without a limit.
  var secondsLeft: Double? { end.map { $0 - monotonicSeconds() } }
}
