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
  func serve(_ maker: SampleMaker) {
    while let job = waitForJob() { run(job, maker) }
    state.withLock { $0.running -= 1 }
    bell.ring()
  }

  /// Makes the first batch on the calling thread.
  func makeFirst(_ maker: SampleMaker) {
    guard let slot = state.withLock({ $0.slots.first }) else { return }
    for row in slot.sampled.indices { run(Job(slot: slot, row: row), maker) }
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

  private func run(_ job: Job, _ maker: SampleMaker) {
    let result: Result<SampleMaker.Made, Failure>
    do {
      let made = try maker.make(job.slot.sampled[job.row], epoch: job.slot.epoch, into: job.slot.target(job.row))
      result = .success(made)
    } catch {
      result = .failure(error)
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
    guard let slot = state.slots.first(where: { $0.handedOut < $0.sampled.count }) else { return nil }
    slot.handedOut += 1
    return Job(slot: slot, row: slot.handedOut - 1)
  }
}
