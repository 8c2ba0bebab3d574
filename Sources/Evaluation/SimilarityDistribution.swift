import Basics
import Features
import Messaging
import Pipeline
import Settings

/// How alike patches of one object are, and patches of different ones.
///
/// Within each image the cosines of pairs of patches fall into two histograms: of equal labels and of different ones.
/// Their overlap is 1 when the two say nothing about objects and 0 when a threshold parts them.
/// - Source: spec/evaluation.md E9.
struct SimilarityDistribution: Evaluator {
  static let name = "simdist"
  static let question = "Are patches of one object more alike than patches of different ones?"

  let split: Split
  /// Pairs of an image at most; nil for all.
  let pairs: Int?
  let bins: Int
  /// The class whose patches are left out; nil for none.
  let excluded: UInt8?

  /// The share of a patch's pixels that its label needs.
  private static let majority = 0.5

  var feature: FeatureChoice { .patches }

  init(_ section: Section, isTiny: Bool) throws(Failure) {
    split = try section.split("the part of the data whose patches are compared")
    pairs = try section.optionalInt(
      "pairs", default: isTiny ? nil : 4096, in: 1..., absent: "all", "pairs of an image at most, drawn by the seed")
    bins = try section.int("bins", default: 200, in: 2..., "bins of the histograms from -1 to 1")
    let background = try section.background()
    let excludes = try section.bool("no_background", default: false, "leave out patches of the background")
    excluded = excludes ? background : nil
  }

  /// Measures the split.
  ///
  /// - Throws: bad data without patch tokens, or when there are no pairs of one kind; input missing without masks.
  /// - Collective: all ranks.
  func evaluate(_ context: EvaluationContext) throws -> EvaluationReport {
    let tokens = try PatchTokens(context, split)
    let own = try tokens.map(context.communicator) { (image) throws(Failure) in measure(image, seed: context.seed) }
    var histograms = SimilarityHistograms(bins: bins)
    for image in own { histograms.add(image) }
    let total = try histograms.summed(context.communicator, imageSums: own.map(\.sums))
    guard let overlap = total.overlap else {
      throw Failure(
        .badData,
        "\(total.intraPairs) pairs of patches have equal labels, \(total.interPairs) different ones: both kinds are needed",
        hint: "the masks of the split '\(split.rawValue)' show one label only, or all is ignored or left out")
    }
    return report(total, overlap: overlap)
  }

  /// The pairs of one image.
  private func measure(_ image: ImagePatches, seed: UInt64) -> SimilarityHistograms {
    let labels = PatchLabels(image.mask, grid: image.grid)
    let kept = labels.labels.indices.filter {
      let label = labels.labels[$0]
      return label != PatchLabels.none && labels.shares[$0] >= Self.majority && label != excluded.map { Int32($0) }
    }
    let vectors = image.vectors
    var histograms = SimilarityHistograms(bins: bins)
    for (a, b) in chosenPairs(of: kept, image: image.index, seed) {
      histograms.add(vectors[a].cosine(vectors[b]), isIntra: labels.labels[a] == labels.labels[b])
    }
    return histograms
  }

  /// All pairs i < j of the patches, or as many of them as are wanted.
  private func chosenPairs(of patches: [Int], image: Int, _ seed: UInt64) -> [(Int, Int)] {
    let all = patches.count * (patches.count - 1) / 2
    guard let pairs, pairs < all else {
      return patches.indices.flatMap { i in patches[(i + 1)...].map { (patches[i], $0) } }
    }
    // Floyd's choice: each set of `pairs` numbers below `all` is equally likely.
    var stream = RandomStream(seed: seed, purpose: .probe, index: image, view: 2)
    var chosen: Set<Int> = []
    for last in (all - pairs)..<all {
      let number = stream.integer(below: last + 1)
      chosen.insert(chosen.contains(number) ? last : number)
    }
    return chosen.sorted().map { number in
      let (i, j) = Self.pair(number, of: patches.count)
      return (patches[i], patches[j])
    }
  }

  /// Pair `number` in the order (0, 1), (0, 2) ... (1, 2) ...
  static func pair(_ number: Int, of count: Int) -> (Int, Int) {
    var (i, rest) = (0, number)
    while rest >= count - 1 - i {
      rest -= count - 1 - i
      i += 1
    }
    return (i, i + 1 + rest)
  }

  private func report(_ total: SimilarityHistograms, overlap: Double) -> EvaluationReport {
    var report = EvaluationReport()
    report.provenance = .decision
    report.set("split", .string(split.rawValue))
    report.set("pairs", pairs.map { .int($0) } ?? .string("all"))
    report.set("bins", .int(bins))
    report.set("no_background", excluded.map { .int(Int($0)) } ?? .bool(false))
    report.add("simdist.overlap", overlap)
    report.add("simdist.intra_mean", total.sums.intra / Double(total.intraPairs))
    report.add("simdist.inter_mean", total.sums.inter / Double(total.interPairs))
    report.add("simdist.intra_pairs", count: total.intraPairs)
    report.add("simdist.inter_pairs", count: total.interPairs)
    report.headline = ["simdist.overlap", "simdist.intra_mean", "simdist.inter_mean"]
    report.files.append(("simdist.csv", Array(total.table.utf8)))
    return report
  }
}
