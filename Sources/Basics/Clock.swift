import Glibc

/// Seconds on a clock that never goes back; only differences mean anything.
public func monotonicSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// The kinds of work that a step's time is divided into.
public enum OpClass: Int, CaseIterable, Sendable {
  case linear, attention, normalisation, elementwise, optimiser, communication, data, lookup, other
}

/// Where the time of one thread goes, by kind of work, and how much work that was.
///
/// From `start` to `stop` every moment of the thread that called `start` counts to one class: that of the innermost
/// `measure`, or `.other` outside of all. On other threads `measure` just runs its body, so an operation that is split
/// over the team counts with the times of the thread that waits for the rest.
public enum OpClock {
  /// What was counted for one class.
  public struct Total: Equatable, Sendable {
    /// - Units: seconds.
    public var seconds = 0.0
    /// Floating-point operations of matrix products for `.linear`, `.attention` and `.lookup`; floats read and written
    /// for the other classes, every array once.
    public var work = 0

    /// Nothing.
    public init() {}
  }

  nonisolated(unsafe) private static var totals = [Total](repeating: Total(), count: OpClass.allCases.count)
  nonisolated(unsafe) private static var current = OpClass.other
  nonisolated(unsafe) private static var since = 0.0
  nonisolated(unsafe) private static var owner: pthread_t?

  private static var isCounting: Bool { owner.map { pthread_equal($0, pthread_self()) != 0 } ?? false }

  /// Begins to count the time of the calling thread, from zero. Call while no other thread measures.
  public static func start() {
    totals = [Total](repeating: Total(), count: OpClass.allCases.count)
    current = .other
    owner = pthread_self()
    since = monotonicSeconds()
  }

  /// Ends counting.
  ///
  /// - Returns: the totals in the order of `OpClass.allCases`; their seconds sum to the time since `start`.
  public static func stop() -> [Total] {
    enter(current)
    owner = nil
    return totals
  }

  /// Runs `body`; its time counts to `op`, and `work` with it.
  public static func measure<R>(_ op: OpClass, work: Int = 0, _ body: () throws -> R) rethrows -> R {
    guard isCounting else { return try body() }
    let outer = current
    enter(op)
    totals[op.rawValue].work += work
    defer { enter(outer) }
    return try body()
  }

  /// Counts work whose time a `measure` around it takes.
  public static func count(_ op: OpClass, work: Int) {
    if isCounting { totals[op.rawValue].work += work }
  }

  private static func enter(_ op: OpClass) {
    let now = monotonicSeconds()
    totals[current.rawValue].seconds += now - since
    (current, since) = (op, now)
  }
}
