import Basics
import Features
import Messaging
import Pipeline
import Settings

/// E1: weighted k-nearest-neighbour classification of one split by another.
///
/// - Source: spec/evaluation.md E1; the vote is that of DINO.
struct KNN: Evaluator {
  static let name = "knn"
  static let question = "Do images of a class lie together, without any training?"
  let feature = FeatureChoice.image

  /// The temperatures of MOCA's script.
  static let sweep = [0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1, 0.12, 0.15, 0.2]

  private let k: [Int]
  private let headline: Int?
  private let temperature: Double
  private let sweepsTemperature: Bool
  private let isUniform: Bool
  private let standardise: Bool
  private let bank: Split
  private let queries: Split
  private let selfExclude: Bool

  init(_ section: Section, isTiny: Bool) throws(Failure) {
    let k = try section.ints(
      "k", default: isTiny ? [1, 10, 20] : [10, 20, 100, 200], in: 1...100_000, "numbers of neighbours that vote")
    headline = try section.optionalInt(
      "headline", default: k.contains(10) ? 10 : k[0], in: 1...100_000, absent: "best",
      "the k that is quoted: 10 (MAE-CT, MMC), 20 (MOCA), or the best one (UDI)")
    temperature = try section.double(
      "temperature", default: 0.07, in: 0.0001...100, "votes weigh exp(cosine / temperature)")
    sweepsTemperature = try section.bool("tsweep", default: false, "also the temperatures of MOCA's script")
    isUniform =
      try section.choice("vote", default: "weighted", ["weighted", "uniform"], "what a neighbour counts")
      == "uniform"
    standardise = try section.bool(
      "standardise", default: false, "features get mean 0 and deviation 1 over the bank first, as MAE-CT's monitor does"
    )
    let splits = Split.allCases.map(\.rawValue)
    let bank = try section.choice("bank", default: Split.train.rawValue, splits, "the split of the neighbours")
    let queries = try section.choice("queries", default: Split.val.rawValue, splits, "the split to classify")
    selfExclude = try section.bool(
      "self_exclude", default: bank == queries, "no image is its own neighbour: for bank and queries of one split")
    guard !selfExclude || bank == queries else {
      throw section.failure(
        "self_exclude", "images of '\(queries)' are not in the bank '\(bank)', so none is its own neighbour",
        hint: "leave self_exclude away, or give bank and queries the same split")
    }
    if let headline, !k.contains(headline) {
      throw section.failure(
        "headline", "headline \(headline) is not among k = \(k)", hint: "add it to k, or headline=best")
    }
    guard Set(k).count == k.count else { throw section.failure("k", "a number stands twice in k = \(k)") }
    guard !(isUniform && sweepsTemperature) else {
      throw section.failure("tsweep", "a uniform vote has no temperature to sweep", hint: "leave tsweep or vote away")
    }
    self.k = k
    self.bank = bank == Split.train.rawValue ? .train : .val
    self.queries = queries == Split.train.rawValue ? .train : .val
  }

  func evaluate(_ context: EvaluationContext) throws -> EvaluationReport {
    var (known, asked) = try context.labelled(bank, against: queries)
    let largest = k.max() ?? 1
    let candidates = known.count - (selfExclude ? 1 : 0)
    guard largest <= candidates else {
      throw Failure(
        .badConfig, "k = \(largest) of a bank with \(candidates) neighbours for an image", at: known.place,
        hint: "ask for fewer: k=[\(k.filter { $0 <= candidates }.map(String.init).joined(separator: ","))]")
    }
    let communicator = context.communicator
    let health = try FeatureHealth(asked, communicator)
    if standardise {
      let scaling = try Standardisation(known, communicator)
      (known, asked) = (known.standardised(by: scaling), asked.standardised(by: scaling))
    }
    let neighbours = try ShardedSearch(bank: known.normalised(), communicator: communicator)
      .nearest(asked.normalised(), k: largest, selfExclude: selfExclude)
    let counts = try count(neighbours, asked, communicator)
    var report = EvaluationReport()
    describe(&report)
    for (place, k) in k.enumerated() {
      report.add("knn.k\(k).top1", counts.votes[0][place].top1, of: asked.count)
      report.add("knn.k\(k).top5", counts.votes[0][place].top5, of: asked.count)
      report.add("knn.k\(k).purity", counts.matching[place], of: asked.count * k)
    }
    quote(counts.votes, of: asked.count, in: &report)
    report.add("knn.feature_std", health.standardDeviation)
    report.add("knn.effective_rank", health.effectiveRank)
    return report
  }

  /// The votes: the asked one, then those of the sweep.
  private var votes: [Vote] {
    (isUniform ? [.uniform] : [Vote(temperature: temperature)])
      + (sweepsTemperature ? KNN.sweep.map(Vote.init(temperature:)) : [])
  }

  /// What all ranks count together: for every vote and k the hits, for every k the neighbours of the right class.
  private func count(
    _ neighbours: [[Neighbour]], _ asked: FeatureSet, _ communicator: Communicator
  ) throws(Failure) -> (votes: [[(top1: Int, top5: Int)]], matching: [Int]) {
    var own: [Int64] = []
    for vote in votes {
      for k in k {
        let hits = vote.hits(neighbours, asked.ownLabels, k: k)
        own += [Int64(hits.top1), Int64(hits.top5)]
      }
    }
    own += k.map { Int64(Vote.matching(neighbours, asked.ownLabels, k: $0)) }
    let all = try communicator.allReduceSum(own).map { Int($0) }
    let hits = votes.indices.map { vote in
      k.indices.map { place in
        (top1: all[2 * (vote * k.count + place)], top5: all[2 * (vote * k.count + place) + 1])
      }
    }
    return (hits, Array(all.suffix(k.count)))
  }

  /// The numbers that are quoted, and what they were chosen on.
  private func quote(_ votes: [[(top1: Int, top5: Int)]], of total: Int, in report: inout EvaluationReport) {
    // Of equally good ones the first counts.
    let best = k.indices.reduce(0) { votes[0][$1].top1 > votes[0][$0].top1 ? $1 : $0 }
    let place = headline.flatMap { k.firstIndex(of: $0) } ?? best
    if headline == nil {
      report.add("knn.best.k", count: k[best])
      report.add("knn.best.top1", votes[0][best].top1, of: total)
      report.selectedOn = queries.rawValue
    }
    report.headline = [headline == nil ? "knn.best.top1" : "knn.k\(k[place]).top1", "knn.k\(k[place]).purity"]
    guard sweepsTemperature else { return }
    for (temperature, hits) in zip(KNN.sweep, votes.dropFirst()) {
      for (k, hits) in zip(k, hits) { report.add("knn.t\(temperature).k\(k).top1", hits.top1, of: total) }
    }
    let warmest = KNN.sweep.indices.reduce(0) { votes[$1 + 1][place].top1 > votes[$0 + 1][place].top1 ? $1 : $0 }
    report.add("knn.tsweep.temperature", KNN.sweep[warmest])
    report.add("knn.tsweep.top1", votes[warmest + 1][place].top1, of: total)
    report.headline.append("knn.tsweep.top1")
    report.selectedOn = queries.rawValue
    report.notes.append(
      "tsweep: the temperature of knn.tsweep.top1 was chosen on '\(queries.rawValue)', as MOCA's script does")
  }

  private func describe(_ report: inout EvaluationReport) {
    report.set("k", .array(k.map { .int($0) }))
    report.set("vote", .string(isUniform ? "uniform" : "weighted"))
    if !isUniform { report.set("temperature", .double(temperature)) }
    report.set("tsweep", .bool(sweepsTemperature))
    report.set("standardise", .bool(standardise))
    report.set("bank", .string(bank.rawValue))
    report.set("queries", .string(queries.rawValue))
    report.set("self_exclude", .bool(selfExclude))
    if bank == queries {
      report.provenance = .decision
      report.notes.append("bank and queries are one split: no paper quotes such a number")
    }
  }
}
