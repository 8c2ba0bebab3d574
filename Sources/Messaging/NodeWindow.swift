import Basics
import CMPI

/// How an array is cut for the ranks of a node that add: one share each, and pieces of a share that fit the window.
struct WindowCut: Equatable {
  /// Shares begin at multiples of a cache line's floats.
  static let grain = 16

  let count: Int
  let lanes: Int
  let pieceFloats: Int

  /// The part of the array that one lane adds; empty for the last lanes of a short array.
  func share(of lane: Int) -> Range<Int> {
    let lines = (count + Self.grain - 1) / Self.grain
    let block = blockRange(count: lines, part: lane, of: lanes)
    return min(block.lowerBound * Self.grain, count)..<min(block.upperBound * Self.grain, count)
  }

  /// The number of pieces of the longest share, which is the first: every rank counts as many.
  var pieces: Int { (share(of: 0).count + pieceFloats - 1) / pieceFloats }

  /// Piece `number` of a lane's share; empty past its end.
  func piece(_ number: Int, of lane: Int) -> Range<Int> {
    let share = share(of: lane)
    let start = min(share.lowerBound + number * pieceFloats, share.upperBound)
    return start..<min(start + pieceFloats, share.upperBound)
  }
}

/// The memory through which the ranks of a node add: slots for pieces on their way, and counters that say how far each
/// rank is.
///
/// A counter is the number of pieces a rank has dealt with since the window was made. It only rises, it has a cache
/// line to itself, and whoever reads it in a new state sees everything written before it.
struct NodeWindow: @unchecked Sendable {
  /// Pieces on their way at once: while one is filled, one is added and one is taken.
  static let depth = 3
  /// How many bytes a rank hands over at once: a core's own cache has room for the pieces of the array that are on
  /// their way, and for the slots of its neighbours.
  private static let turnBytes = 64 << 10
  private static let leastPieceBytes = 8 << 10
  private static let lineBytes = 64

  /// What a rank counts, in the order in which a piece passes: handed to the lanes, added by its lane, its sum
  /// handed back, that sum taken by every rank.
  enum Counter: Int, CaseIterable { case filled, added, returned, taken }

  let base: UnsafeMutableRawPointer
  let lanes: Int
  let pieceFloats: Int

  /// The floats of a piece where `lanes` ranks of a node add.
  static func pieceFloats(lanes: Int) -> Int {
    let bytes = max(turnBytes / lanes, leastPieceBytes)
    return bytes / lineBytes * lineBytes / MemoryLayout<Float>.size
  }

  /// The memory of one rank: counters, `depth` slots with a piece for each lane, `depth` slots with a sum.
  static func bytesPerRank(lanes: Int, pieceFloats: Int) -> Int {
    let slots = depth * (lanes + 1) * pieceFloats * MemoryLayout<Float>.size
    return SharedMemory.wholePages(Counter.allCases.count * lineBytes + slots)
  }

  func counter(_ counter: Counter, of rank: Int) -> UnsafeMutablePointer<Int64> {
    (start(of: rank) + counter.rawValue * Self.lineBytes).assumingMemoryBound(to: Int64.self)
  }

  /// Where `rank` leaves piece `number` for `lane` to add.
  func input(_ number: Int, from rank: Int, to lane: Int) -> UnsafeMutablePointer<Float> {
    slots(of: rank) + ((number % Self.depth) * lanes + lane) * pieceFloats
  }

  /// Where `lane` leaves the sum of piece `number`.
  func sum(_ number: Int, of lane: Int) -> UnsafeMutablePointer<Float> {
    slots(of: lane) + (Self.depth * lanes + number % Self.depth) * pieceFloats
  }

  private func start(of rank: Int) -> UnsafeMutableRawPointer {
    base + rank * Self.bytesPerRank(lanes: lanes, pieceFloats: pieceFloats)
  }

  private func slots(of rank: Int) -> UnsafeMutablePointer<Float> {
    (start(of: rank) + Counter.allCases.count * Self.lineBytes).assumingMemoryBound(to: Float.self)
  }
}
