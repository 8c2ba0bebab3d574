import Basics
import CMPI

/// Floats of every rank of a node that all of them can reach, so that sums over the ranks need no copies.
///
/// A rank owns its own floats. Others touch them only while a sum over them is under way.
public final class NodeMemory: @unchecked Sendable {
  private static let lineBytes = 64
  private static let linesOfPage = 64

  /// This rank's floats, zero at first, aligned to 64 bytes. They live as long as this object.
  public let floats: UnsafeMutablePointer<Float>
  /// How many floats each rank has.
  public let count: Int
  /// Whose ranks share the memory.
  let window: WindowSum
  private let memory: SharedMemory
  /// The floats of each rank of the window.
  private let places: [UnsafeMutablePointer<Float>?]

  init(_ memory: SharedMemory, count: Int, rank: Int, ranks: Int, window: WindowSum) {
    self.memory = memory
    self.count = count
    self.window = window
    let places = (0..<ranks).map {
      (memory.base + Self.offset(of: $0, count: count)).assumingMemoryBound(to: Float.self)
    }
    self.places = places
    floats = places[rank]
  }

  deinit { memory.unmap() }

  /// The memory of one rank: a page more than its floats need.
  static func bytesPerRank(count: Int) -> Int {
    SharedMemory.wholePages(count * MemoryLayout<Float>.size + linesOfPage * lineBytes)
  }

  /// Where the floats of a rank begin, in bytes.
  ///
  /// Equal places of different ranks stand in different lines of a page: in the same one they would drive each other
  /// out of the caches, which made sums of 8 and more arrays up to 1.5 times slower.
  static func offset(of rank: Int, count: Int) -> Int {
    rank * bytesPerRank(count: count) + rank % linesOfPage * lineBytes
  }

  /// Writes, over `range`, the sum of the floats of the ranks `from`, added in their order, to all ranks of `to`.
  func add(to: Range<Int>, from: Range<Int>, _ range: Range<Int>) {
    places.withUnsafeBufferPointer { places in
      guard let base = places.baseAddress else { return }
      cmpi_add_arrays(
        base + to.lowerBound, Int64(to.count), base + from.lowerBound, Int64(from.count), Int64(range.lowerBound),
        Int64(range.upperBound))
    }
  }
}

extension Communicator {
  /// Memory of `count` floats on each rank whose sums need no copies inside a node: for gradients.
  ///
  /// Its pages are taken at once and lie close to their rank.
  /// - Parameters:
  ///   - count: the same on all ranks.
  /// - Returns: nil where sums of floats do not travel through the window; the same on all ranks.
  /// - Throws: `.unavailable` when a node cannot share so much; sums of memory that is not shared go on.
  /// - Collective: all ranks.
  public func nodeMemory(floats count: Int) throws(Failure) -> NodeMemory? {
    precondition(count >= 0, "nodeMemory: \(count) floats")
    guard size > 1, allReduceRoute == .window else { return nil }
    let result = NodeMemoryResult()
    try submit(.shareMemory(count: count, result)).wait()
    switch result.outcome {
    case .open(let memory): return memory
    case .refused(let failure):
      try agree(failure)
      throw Failure(.internalError, "memory was refused and no rank knows why")
    }
  }
}

/// What became of memory for sums in place.
enum NodeMemoryOutcome {
  case open(NodeMemory)
  /// A node cannot share so much; with the reason on the ranks that know one.
  case refused(Failure?)
}

/// Where the communication thread leaves what became of memory for sums in place.
final class NodeMemoryResult {
  var outcome = NodeMemoryOutcome.refused(nil)
}
