import Basics
import CMPI

/// Floats of every rank of a node that are summed over the ranks without copies.
///
/// Each rank writes its own floats. A sum leaves each value once on the node, in the memory of the lane that added it,
/// and all ranks read them there, through `sums`. So a value is read once by one rank, written once, and nothing is
/// handed out. In turn a rank may write its floats anew only when all ranks of the node have read the sums:
///
///     write floats, sum, read sums, release()  ->  startReuse(memory).wait()  ->  write floats, ...
public final class NodeMemory: @unchecked Sendable {
  /// This rank's floats, zero at first. They begin with a page and live as long as this object.
  public let floats: UnsafeMutablePointer<Float>
  /// Where the sums are after a sum, in the layout of `floats`, to be read only; the same memory on all ranks of the
  /// node.
  public let sums: UnsafePointer<Float>
  /// How many floats each rank has.
  public let count: Int
  /// Who adds what.
  let shares: SumShares
  /// Whose ranks share the memory.
  let window: WindowSum
  private let memory: SharedMemory
  private let view: SharedMemory
  private let rank: Int
  /// The floats of each rank of the window.
  private let places: [UnsafeMutablePointer<Float>?]
  private var isReleased = true
  /// How often this rank has released the sums; the same on all ranks between steps.
  private(set) var releases = 0

  init(_ memory: SharedMemory, _ view: SharedMemory, count: Int, _ shares: SumShares, rank: Int, _ window: WindowSum) {
    self.memory = memory
    self.view = view
    self.count = count
    self.shares = shares
    self.rank = rank
    self.window = window
    let bytes = Self.bytesPerRank(count: count)
    let places = (0..<memory.bytes / bytes).map {
      (memory.base + $0 * bytes).assumingMemoryBound(to: Float.self)
    }
    self.places = places
    floats = places[rank]
    sums = UnsafePointer(view.base.assumingMemoryBound(to: Float.self))
  }

  deinit {
    view.unmap()
    memory.unmap()
  }

  /// The memory of one rank: its floats, and a page for its counter.
  static func bytesPerRank(count: Int) -> Int {
    SharedMemory.wholePages(count * MemoryLayout<Float>.size) + SharedMemory.pageBytes
  }

  /// The bytes of all ranks' memory that `sums` shows one behind the other.
  static func view(of shares: SumShares, count: Int) -> [Range<Int>] {
    shares.runs.map { run in
      let start = run.lane * bytesPerRank(count: count) + run.elements.lowerBound * MemoryLayout<Float>.size
      return start..<start + run.elements.count * MemoryLayout<Float>.size
    }
  }

  /// Says that this rank has read the sums and does not look at them again; others may write then. Local.
  public func release() {
    guard !isReleased else { return }
    isReleased = true
    releases += 1
    cmpi_shared_store(counter(of: rank), Int64(releases))
  }

  /// The sums are about to be made anew.
  func claim() { isReleased = false }

  /// How often a rank has released the sums.
  func counter(of rank: Int) -> UnsafeMutablePointer<Int64> {
    let bytes = Self.bytesPerRank(count: count)
    return (memory.base + (rank + 1) * bytes - SharedMemory.pageBytes).assumingMemoryBound(to: Int64.self)
  }

  /// Replaces this rank's floats by the sums over the ranks of the window, added in rank order.
  func add(_ range: Range<Int>) {
    places.withUnsafeBufferPointer { places in
      guard let base = places.baseAddress else { return }
      cmpi_add_arrays(floats, base, Int64(places.count), Int64(range.lowerBound), Int64(range.upperBound))
    }
  }
}

extension Communicator {
  /// Memory for floats of each rank whose sums need no copies inside a node: for gradients.
  ///
  /// Its pages are taken at once and lie close to their rank.
  /// - Parameters:
  ///   - parts: what will be summed at once, together all floats from 0; other ranges are summed too, but the work is
  ///     uneven then. The same on all ranks.
  /// - Returns: nil where sums of floats do not travel through the window; the same on all ranks.
  /// - Throws: `.unavailable` when a node cannot share so much; sums of memory that is not shared go on.
  /// - Collective: all ranks.
  public func nodeMemory(parts: [Range<Int>]) throws(Failure) -> NodeMemory? {
    guard size > 1, allReduceRoute == .window else { return nil }
    let result = NodeMemoryResult()
    try submit(.shareMemory(parts: parts, result)).wait()
    switch result.outcome {
    case .open(let memory): return memory
    case .refused(let failure):
      try agree(failure)
      throw Failure(.internalError, "memory was refused and no rank knows why")
    }
  }

  /// Begins to sum a part of `memory` over all ranks, and returns at once.
  ///
  /// The sums are those of the same values anywhere else, bit for bit. They stand in `memory.sums` when the request's
  /// `wait()` has returned; until then the floats may not be touched, and those of the part not before
  /// `startReuse` has ended. The window must be the one that was open when the memory was made.
  /// - Parameters:
  ///   - range: within `0..<memory.count`.
  /// - Collective: all ranks, with memory made by the same call and the same `range`.
  public func startAllReduceSum(_ memory: NodeMemory, _ range: Range<Int>) -> Request {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= memory.count,
      "all-reduce of \(range) in a memory of \(memory.count) values")
    guard !range.isEmpty else { return Request() }
    memory.claim()
    return submit(.nodeSum(memory, range))
  }

  /// Releases the sums of `memory`, if that was not done before, and begins to wait until all ranks of the node have:
  /// when the request's `wait()` has returned the floats may be written anew.
  /// - Collective: all ranks.
  public func startReuse(_ memory: NodeMemory) -> Request {
    memory.release()
    return submit(.nodeReuse(memory, releases: memory.releases))
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
