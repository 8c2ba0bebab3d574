import Glibc
import Synchronization

/// A rank's small fixed team of compute threads.
///
/// An operation deals its rows to the team: whoever is free takes the next part, so that a core which the system slows
/// down for a while does not hold up the others. Members spin briefly between operations and then sleep.
public final class ThreadTeam: Sendable {
  private static let current = Mutex<ThreadTeam>(ThreadTeam(threads: 1))

  /// The team of this process: one thread until `configure(threads:)`.
  public static var shared: ThreadTeam { current.withLock { $0 } }

  /// Replaces the team of this process. Call between operations, never inside one.
  public static func configure(threads: Int) {
    let team = ThreadTeam(threads: threads)
    let old = current.withLock { held in
      let previous = held
      held = team
      return previous
    }
    old.dismiss()
  }

  /// The number of threads, the calling one included.
  public let threads: Int
  private let round = Atomic<Int>(0)
  private let unfinished = Atomic<Int>(0)
  private let dismissed = Atomic<Bool>(false)
  private let sleepers = Atomic<Int>(0)
  private let dealt = Atomic<Int>(0)
  private let work = WorkSlot()
  private let bell = Bell()

  private init(threads: Int) {
    precondition(threads >= 1, "ThreadTeam: needs at least one thread, got \(threads)")
    self.threads = threads
    for index in 1..<max(threads, 1) { startThread(named: "team-\(index)") { [self] in serve(index) } }
  }

  /// Runs `body` once on every thread of the team and returns when all are done; the caller is thread 0.
  public func run(_ body: (_ thread: Int) -> Void) {
    guard threads > 1 else { return body(0) }
    withoutActuallyEscaping(body) { escapable in
      work.body = escapable
      unfinished.store(threads - 1, ordering: .relaxed)
      round.wrappingAdd(1, ordering: .sequentiallyConsistent)
      if sleepers.load(ordering: .sequentiallyConsistent) > 0 { bell.ring() }
      let mark = OpClock.mark()
      body(0)
      var spins = 0
      OpClock.wait(since: mark) { while unfinished.load(ordering: .acquiring) > 0 { waitBriefly(&spins) } }
      work.body = nil
    }
  }

  /// Deals 0 ..< count in contiguous ranges at multiples of `grain`, large ones first; a thread gets many, one or none.
  ///
  /// What `body` does for an index must not depend on the range that it comes in: which thread gets what is chance.
  /// Runs inline, in one range, when there is one thread or at most `grain` items.
  public func deal(_ count: Int, grain: Int = 1, _ body: (_ range: Range<Int>) -> Void) {
    guard count > 0 else { return }
    guard threads > 1, count > grain else { return body(0..<count) }
    dealt.store(0, ordering: .relaxed)
    run { _ in
      while let range = take(of: count, grain: grain) { body(range) }
    }
  }

  /// Half of a fair share of what is left.
  private func take(of count: Int, grain: Int) -> Range<Int>? {
    var start = dealt.load(ordering: .relaxed)
    while start < count {
      let share = (count - start) / (2 * threads) / grain * grain
      let end = min(start + max(share, grain), count)
      let (exchanged, original) = dealt.weakCompareExchange(expected: start, desired: end, ordering: .relaxed)
      if exchanged { return start..<end }
      start = original
    }
    return nil
  }

  /// Splits 0 ..< count into contiguous near-equal ranges at multiples of `grain`, one a thread.
  ///
  /// Runs inline when there is one thread or at most `grain` items; threads without items are not called.
  public func split(_ count: Int, grain: Int = 1, _ body: (_ range: Range<Int>) -> Void) {
    guard count > 0 else { return }
    guard threads > 1, count > grain else { return body(0..<count) }
    let grains = (count + grain - 1) / grain
    run { thread in
      let block = blockRange(count: grains, part: thread, of: threads)
      let range = min(block.lowerBound * grain, count)..<min(block.upperBound * grain, count)
      if !range.isEmpty { body(range) }
    }
  }

  private func serve(_ index: Int) {
    var seen = 0
    while true {
      var spins = 0
      while round.load(ordering: .acquiring) == seen {
        if dismissed.load(ordering: .acquiring) { return }
        if spins < 50_000 { waitBriefly(&spins) } else { sleepUntilRound(after: seen) }
      }
      seen += 1
      work.body?(index)
      unfinished.wrappingSubtract(1, ordering: .releasing)
    }
  }

  private func sleepUntilRound(after seen: Int) {
    sleepers.wrappingAdd(1, ordering: .sequentiallyConsistent)
    bell.wait {
      round.load(ordering: .sequentiallyConsistent) != seen || dismissed.load(ordering: .sequentiallyConsistent)
    }
    sleepers.wrappingSubtract(1, ordering: .sequentiallyConsistent)
  }

  private func dismiss() {
    dismissed.store(true, ordering: .sequentiallyConsistent)
    bell.ring()
  }
}

/// Where the operation of the current round stands; written by the caller before the round begins.
private final class WorkSlot: @unchecked Sendable {
  var body: ((Int) -> Void)?
}

/// A condition variable: waiting threads sleep until somebody rings.
public final class Bell: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  /// Makes a bell.
  public init() {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(condition, nil)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  /// Wakes every waiting thread, which then look at their condition again.
  public func ring() {
    // Whoever looks now sees the news or is asleep already. Woken under the lock it would run into the lock first.
    pthread_mutex_lock(mutex)
    pthread_mutex_unlock(mutex)
    pthread_cond_broadcast(condition)
  }

  /// Sleeps until `ready` holds; it is evaluated under the bell's lock.
  public func wait(until ready: () -> Bool) {
    pthread_mutex_lock(mutex)
    while !ready() { pthread_cond_wait(condition, mutex) }
    pthread_mutex_unlock(mutex)
  }
}

/// Starts a detached thread with an 8 MiB stack.
public func startThread(named name: String, _ body: @escaping @Sendable () -> Void) {
  final class Box {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  pthread_attr_setstacksize(&attributes, 8 << 20)
  pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
  defer { pthread_attr_destroy(&attributes) }
  var handle = pthread_t()
  let argument = Unmanaged.passRetained(Box(body)).toOpaque()
  let result = pthread_create(
    &handle, &attributes,
    { raw in
      guard let raw else { return nil }
      Unmanaged<Box>.fromOpaque(raw).takeRetainedValue().body()
      return nil
    }, argument)
  precondition(result == 0, "cannot start thread \(name): \(String(cString: strerror(result)))")
}

/// Near-equal contiguous blocks of 0 ..< count: the first `count % parts` blocks are one longer.
///
/// This one rule divides a batch over ranks, rows over threads and bytes over writers.
public func blockRange(count: Int, part: Int, of parts: Int) -> Range<Int> {
  precondition(parts > 0 && (0..<parts).contains(part), "blockRange: part \(part) of \(parts)")
  let size = count / parts
  let start = part * size + min(part, count % parts)
  return start..<(start + size + (part < count % parts ? 1 : 0))
}

/// The part of 0 ..< count whose `blockRange` holds `index`.
public func blockPart(of index: Int, count: Int, parts: Int) -> Int {
  precondition(parts > 0 && (0..<count).contains(index), "blockPart: \(index) of \(count) in \(parts) parts")
  let (size, longer) = count.quotientAndRemainder(dividingBy: parts)
  let longEnd = longer * (size + 1)
  return index < longEnd ? index / (size + 1) : longer + (index - longEnd) / size
}

/// One turn of a waiting loop; gives the core away now and then, since ranks may share it.
public func waitBriefly(_ spins: inout Int) {
  spins += 1
  if spins % 1024 == 0 { sched_yield() }
}
