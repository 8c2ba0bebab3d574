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
/// over the team counts with the times of the calling thread. What that waits for the others at the end, whatever they
/// still do, counts to the classes in proportion to the operation's own times.
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

  /// The totals so far, for `wait`; nil on threads that do not count.
  static func mark() -> [Total]? {
    guard isCounting else { return nil }
    enter(current)
    return totals
  }

  /// Runs `body`, which waits for the team; its time counts to the classes that took time since `mark`, in proportion.
  static func wait(since mark: [Total]?, _ body: () -> Void) {
    guard isCounting, let mark else { return body() }
    enter(current)
    let start = since
    body()
    since = monotonicSeconds()
    let spent = zip(totals, mark).map { $0.seconds - $1.seconds }
    let all = spent.reduce(0, +)
    guard all > 0 else { return totals[current.rawValue].seconds += since - start }
    for (op, seconds) in spent.enumerated() { totals[op].seconds += (since - start) * seconds / all }
  }

  private static func enter(_ op: OpClass) {
    let now = monotonicSeconds()
    totals[current.rawValue].seconds += now - since
    (current, since) = (op, now)
  }
}
