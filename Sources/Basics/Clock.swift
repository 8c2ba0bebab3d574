import Glibc

/// Seconds on a clock that never goes back; only differences mean anything.
public func monotonicSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// The kinds of work that a step's time is divided into.
public enum OpClass: Int, CaseIterable, Sendable {
  case linear, attention, normalisation, elementwise, optimiser, communication, data, other
}

/// Where a step's time goes, by kind of work. For the main thread only.
///
/// A measurement inside another one counts to the outer one, so the classes never overlap.
public enum OpClock {
  nonisolated(unsafe) private static var totals = [Double](repeating: 0, count: OpClass.allCases.count)
  nonisolated(unsafe) private static var isRunning = false

  /// Runs `body` and adds its wall time to `op`.
  public static func measure<R>(_ op: OpClass, _ body: () throws -> R) rethrows -> R {
    guard !isRunning else { return try body() }
    isRunning = true
    let start = monotonicSeconds()
    defer {
      totals[op.rawValue] += monotonicSeconds() - start
      isRunning = false
    }
    return try body()
  }

  /// Sets all totals to zero.
  public static func reset() {
    for i in totals.indices { totals[i] = 0 }
  }

  /// The seconds counted for `op` since the last reset.
  public static func seconds(_ op: OpClass) -> Double { totals[op.rawValue] }
}
