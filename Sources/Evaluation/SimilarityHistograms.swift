import Basics
import Messaging

/// Histograms of cosines: of pairs with equal labels (intra) and of pairs with different ones (inter).
struct SimilarityHistograms: Equatable {
  /// Sums of the cosines.
  struct Sums: Equatable {
    var intra = 0.0
    var inter = 0.0
  }

  /// Pairs in each bin.
  private(set) var intra: [Int64]
  private(set) var inter: [Int64]
  private(set) var sums = Sums()
  /// Where bins begin and the last one ends; a bin holds its lower edge, the last one both.
  private let edges: [Double]

  init(bins: Int) {
    intra = [Int64](repeating: 0, count: bins)
    inter = intra
    edges = (0..<bins).map { Double($0) * (2 / Double(bins)) - 1 } + [1]
  }

  var intraPairs: Int { Int(intra.reduce(0, +)) }
  var interPairs: Int { Int(inter.reduce(0, +)) }

  /// Adds one pair; its cosine is in -1 ... 1.
  mutating func add(_ cosine: Double, isIntra: Bool) {
    var bin = min(Int((cosine + 1) / 2 * Double(intra.count)), intra.count - 1)
    // The estimate may miss by rounding; the edges decide.
    if cosine < edges[bin] { bin -= 1 } else if bin + 1 < intra.count && cosine >= edges[bin + 1] { bin += 1 }
    if isIntra {
      intra[bin] += 1
      sums.intra += cosine
    } else {
      inter[bin] += 1
      sums.inter += cosine
    }
  }

  mutating func add(_ other: SimilarityHistograms) {
    for bin in intra.indices {
      intra[bin] += other.intra[bin]
      inter[bin] += other.inter[bin]
    }
  }

  /// Over all ranks: counts are summed, and the sums of the images are added in the order of the images, so that every
  /// number of ranks gives the same bits.
  ///
  /// - Parameter imageSums: of this rank's images.
  /// - Collective: all ranks.
  func summed(_ communicator: Communicator, imageSums: [Sums]) throws(Failure) -> SimilarityHistograms {
    var total = self
    let counts = try communicator.allReduceSum(intra + inter)
    total.intra = Array(counts.prefix(intra.count))
    total.inter = Array(counts.suffix(inter.count))
    total.sums = Sums()
    for part in try communicator.allGather(imageSums.withUnsafeBytes { Array($0) }) {
      for sums in part.withUnsafeBytes({ Array($0.bindMemory(to: Sums.self)) }) {
        total.sums.intra += sums.intra
        total.sums.inter += sums.inter
      }
    }
    return total
  }

  /// How much of the two histograms, each of sum 1, they have in common; nil when one is empty.
  var overlap: Double? {
    guard intraPairs > 0, interPairs > 0 else { return nil }
    return zip(shares(intra), shares(inter)).reduce(0) { $0 + min($1.0, $1.1) }
  }

  private func shares(_ counts: [Int64]) -> [Double] {
    let total = Double(counts.reduce(0, +))
    return counts.map { Double($0) / total }
  }

  /// One line a bin, comma-separated.
  var table: String {
    var text = "from,to,intra_pairs,inter_pairs,intra_share,inter_share\n"
    let (intraShares, interShares) = (shares(intra), shares(inter))
    for bin in intra.indices {
      text += "\(edges[bin]),\(edges[bin + 1]),\(intra[bin]),\(inter[bin]),\(intraShares[bin]),\(interShares[bin])\n"
    }
    return text
  }
}
