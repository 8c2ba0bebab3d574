import Basics
import Synchronization

/// An operation that the communication thread was asked to do.
///
/// Buffers named in the operation belong to the communication thread until `wait()` returns.
public final class Request: @unchecked Sendable {
  private let finished: Atomic<Bool>
  private let bell: Bell?
  // Written by the communication thread before `finished`, read after it.
  private var failure: Failure?
  private var busy = 0.0

  init(bell: Bell) {
    self.bell = bell
    finished = Atomic(false)
  }

  /// A request for which there is nothing to do.
  init() {
    bell = nil
    finished = Atomic(true)
  }

  /// Whether the operation is over.
  public var isDone: Bool { finished.load(ordering: .acquiring) }

  /// The time the communication thread spent on the operation; 0 before it is over.
  /// - Units: seconds.
  public var busySeconds: Double { isDone ? busy : 0 }

  /// Sleeps until the operation is over.
  /// - Throws: what the MPI library reported.
  public func wait() throws(Failure) {
    if !isDone { bell?.wait { finished.load(ordering: .acquiring) } }
    if let failure { throw failure }
  }

  func complete(_ failure: Failure?, busySeconds: Double) {
    self.failure = failure
    busy = busySeconds
    finished.store(true, ordering: .releasing)
    bell?.ring()
  }
}
