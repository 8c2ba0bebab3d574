import Basics

/// Which lane of a node adds which floats of an array whose sums are read where they were added.
///
/// The sums stand in the memories of the lanes that added them, and every rank sees them as one array: a mapping of
/// pages of different ranks. So a page belongs to one lane. It counts to the part of the array in which it begins, and
/// the pages of a part are dealt evenly, so that all lanes have work when the part is summed. On one node they are dealt
/// in turns, so that all lanes find in the caches some of what was written last; over several nodes a lane gets its
/// pages of a part in one piece, which travels as one message.
struct SumShares: Equatable {
  /// The floats of a page.
  static let pageFloats = SharedMemory.pageBytes / MemoryLayout<Float>.size

  /// Floats that lie together and are added by one lane; they begin with a page.
  struct Run: Equatable {
    var elements: Range<Int>
    let lane: Int
  }

  /// What a lane gets at a time where it is dealt to in turns.
  static let turnPages = (512 << 10) / SharedMemory.pageBytes

  /// The runs of the whole array in rising order.
  let runs: [Run]

  /// - Parameters:
  ///   - parts: what will be summed at once; in any order, together the whole array from 0.
  ///   - lanes: at least 1.
  ///   - inTurns: whether a lane gets several runs of a large part.
  init(parts: [Range<Int>], lanes: Int, inTurns: Bool) {
    var runs: [Run] = []
    var end = 0
    for part in parts.sorted(by: { ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound) }) {
      precondition(part.lowerBound == end, "SumShares: a part begins at \(part.lowerBound), not at \(end)")
      end = part.upperBound
      let pages = Self.pages(part.lowerBound)..<Self.pages(end)
      let turn = inTurns ? lanes * Self.turnPages : max(pages.count, 1)
      for first in stride(from: pages.lowerBound, to: pages.upperBound, by: turn) {
        for lane in 0..<lanes {
          let block = blockRange(count: min(turn, pages.upperBound - first), part: lane, of: lanes)
          guard !block.isEmpty else { continue }
          let elements = (first + block.lowerBound) * Self.pageFloats..<(first + block.upperBound) * Self.pageFloats
          if let last = runs.indices.last, runs[last].lane == lane {
            runs[last].elements = runs[last].elements.lowerBound..<elements.upperBound
          } else {
            runs.append(Run(elements: elements, lane: lane))
          }
        }
      }
    }
    self.runs = runs
  }

  /// What `lane` adds when `range` is summed, in rising order.
  func elements(of lane: Int, in range: Range<Int>) -> [Range<Int>] {
    runs.filter { $0.lane == lane && $0.elements.overlaps(range) }.map { $0.elements.clamped(to: range) }
  }

  /// The pages that `floats` floats begin.
  private static func pages(_ floats: Int) -> Int { (floats + pageFloats - 1) / pageFloats }
}
