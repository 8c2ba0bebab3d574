import Synchronization

/// Bytes that this rank's calls move between ranks, counted where the MPI library is called.
///
/// A byte that several ranks receive is sent as many times, however the library carries it: over all ranks as much is
/// sent as is received. What ranks of a node read in memory that they share is no message and is not counted.
public final class Traffic: Sendable {
  private let sentBytes = Atomic<Int>(0)
  private let receivedBytes = Atomic<Int>(0)

  /// Nothing so far.
  public init() {}

  /// - Units: bytes.
  public var sent: Int { sentBytes.load(ordering: .acquiring) }
  /// - Units: bytes.
  public var received: Int { receivedBytes.load(ordering: .acquiring) }

  /// Adds a call of rank `rank` of some: the length for each rank, and from each. What stays here does not count.
  func count(sent: [Int], received: [Int], rank: Int) {
    sentBytes.wrappingAdd(sent.reduce(0, +) - sent[rank], ordering: .releasing)
    receivedBytes.wrappingAdd(received.reduce(0, +) - received[rank], ordering: .releasing)
  }
}
