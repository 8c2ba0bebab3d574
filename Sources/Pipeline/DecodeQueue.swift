import Basics
import Synchronization
import Tensors

/// The batches in the making, shared by the consumer and the decode threads.
final class DecodeQueue: Sendable {
  /// A batch in the making. Rows are handed out and finished in any order; all changes are made under the lock.
  final class Slot: @unchecked Sendable {
    let epoch: Int
    let sampled: [Int]
    let views: [Tensor]  // [b, 3, S, S]
    fileprivate var handedOut = 0
    fileprivate var unfinished: Int
    fileprivate var results: [Result<SampleMaker.Made, Failure>?]

    init(epoch: Int, sampled: [Int], views: [Tensor]) {
      self.epoch = epoch
      self.sampled = sampled
      self.views = views
      unfinished = sampled.count
      results = Array(repeating: nil, count: sampled.count)
    }

    fileprivate func target(_ row: Int) -> SampleMaker.Target {
      SampleMaker.Target(views: views.map { $0.pointer + row * ($0.count / sampled.count) })
    }
  }

  /// Makes one image of a batch; each thread has its own.
  typealias Maker = (_ index: Int, _ epoch: Int, _ target: SampleMaker.Target) throws(Failure) -> SampleMaker.Made

  /// A finished batch: one entry a row, except for rows that failed.
  struct Finished {
    let slot: Slot
    let rows: [SampleMaker.Made]
    let failure: Failure?
  }

  private struct State {
    var slots: [Slot] = []
    var isStopped = false
    var running: Int
  }

  private struct Job {
    let slot: Slot
    let row: Int
  }

  private let state: Mutex<State>
  private let bell = Bell()

  init(threads: Int) { state = Mutex(State(running: threads)) }

  func append(_ slot: Slot) {
    state.withLock { $0.slots.append(slot) }
    bell.ring()
  }

  /// Works until the queue is stopped.
  func serve(_ make: Maker) {
    while let job = waitForJob() { run(job, make) }
    state.withLock { $0.running -= 1 }
    bell.ring()
  }

  /// Whether there are images of the first batch that nobody has begun.
  var firstNeedsHelp: Bool {
    state.withLock { $0.slots.first.map { $0.handedOut < $0.sampled.count } ?? false }
  }

  /// Makes what nobody has begun of the first batch on the calling thread.
  func helpFirst(_ make: Maker) {
    while let job = state.withLock({ Self.takeJob(of: $0.slots.first) }) { run(job, make) }
  }

  /// Waits until the first batch is complete and removes it.
  func takeFirst() -> Finished {
    bell.wait { state.withLock { $0.isStopped || $0.slots.first?.unfinished == 0 } }
    return state.withLock { state in
      precondition(!state.isStopped, "Loader.next: the loader is stopped")
      let slot = state.slots.removeFirst()
      var rows: [SampleMaker.Made] = []
      var failure: Failure?
      for result in slot.results {
        switch result {
        case .success(let made): rows.append(made)
        case .failure(let error): failure = failure ?? error
        case nil: preconditionFailure("DecodeQueue: a finished batch misses a row")
        }
      }
      return Finished(slot: slot, rows: rows, failure: failure)
    }
  }

  /// Ends the threads after the image they are at, and waits for them.
  func stop() {
    state.withLock { $0.isStopped = true }
    bell.ring()
    bell.wait { state.withLock { $0.running == 0 } }
  }

  private func run(_ job: Job, _ make: Maker) {
    let result = Result { () throws(Failure) in
      try make(job.slot.sampled[job.row], job.slot.epoch, job.slot.target(job.row))
    }
    let isComplete = state.withLock { _ in
      job.slot.results[job.row] = result
      job.slot.unfinished -= 1
      return job.slot.unfinished == 0
    }
    if isComplete { bell.ring() }
  }

  private func waitForJob() -> Job? {
    while true {
      let (job, isStopped) = state.withLock { state in (Self.takeJob(&state), state.isStopped) }
      if isStopped { return nil }
      if let job { return job }
      bell.wait { state.withLock { $0.isStopped || $0.slots.contains { $0.handedOut < $0.sampled.count } } }
    }
  }

  /// The first row of the first batch that nobody works at.
  private static func takeJob(_ state: inout State) -> Job? {
    takeJob(of: state.slots.first { $0.handedOut < $0.sampled.count })
  }

  private static func takeJob(of slot: Slot?) -> Job? {
    guard let slot, slot.handedOut < slot.sampled.count else { return nil }
    slot.handedOut += 1
    return Job(slot: slot, row: slot.handedOut - 1)
  }
}
