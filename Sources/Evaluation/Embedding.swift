import Basics
import Features
import Messaging
import Pipeline
import Settings
import Tensors

/// E16: the neighbours of every image within its split, and the main directions of the features.
///
/// - Source: spec/evaluation.md E16.
struct Embedding: Evaluator {
  static let name = "embed"
  static let question = "Which images does the encoder hold for similar, and in how many directions do they lie?"
  let feature = FeatureChoice.image

  private let split: Split
  /// nil: 50, or as many as the feature has numbers.
  private let components: Int?
  private let neighbours: Int

  init(_ section: Section, isTiny: Bool) throws(Failure) {
    let split = try section.choice(
      "split", default: Split.val.rawValue, Split.allCases.map(\.rawValue), "the images to look at")
    self.split = split == Split.train.rawValue ? .train : .val
    components = try section.optionalInt(
      "components", in: 1...100_000, absent: "auto", "principal components to keep; auto is 50, or all there are")
    neighbours = try section.int("neighbours", default: 10, in: 1...10_000, "nearest other images of each image")
  }

  func evaluate(_ context: EvaluationContext) throws -> EvaluationReport {
    let (set, communicator) = (try context.features(split), context.communicator)
    guard set.count > neighbours else {
      throw Failure(
        .badConfig, "\(neighbours) neighbours of \(set.count) images", at: set.place,
        hint: "neighbours=\(max(set.count - 1, 0))")
    }
    let components = components ?? min(50, set.rows.shape.lastAxis)
    guard set.rows.shape.lastAxis >= components else {
      throw Failure(
        .badConfig, "\(components) components of features with \(set.rows.shape.lastAxis) numbers", at: set.place,
        hint: "components=\(set.rows.shape.lastAxis)")
    }
    let pca = try PCA.fit(set, components: components, communicator: communicator)
    let unit = set.normalised()
    let lists = try ShardedSearch(bank: unit, communicator: communicator)
      .nearest(unit, k: neighbours, selfExclude: true)
    var report = EvaluationReport()
    report.provenance = .decision
    report.set("split", .string(split.rawValue))
    report.set("components", .int(components))
    report.set("neighbours", .int(neighbours))
    for place in 0..<min(3, components) {
      report.add("embed.pca.variance\(place + 1)", pca.explainedVariance[place])
      report.add("embed.pca.ratio\(place + 1)", pca.explainedRatio[place])
    }
    report.add("embed.pca.ratio", pca.explainedRatio.reduce(0, +))
    report.headline = ["embed.pca.ratio"]
    if set.labels.allSatisfy({ $0 >= 0 }) {
      let matching = try communicator.allReduceSum([Int64(Vote.matching(lists, set.ownLabels, k: neighbours))])[0]
      report.add("embed.neighbours.purity", Int(matching), of: set.count * neighbours)
      report.headline.append("embed.neighbours.purity")
    }
    report.files = try files(set, lists, pca.project(set.rows), communicator)
    return report
  }

  /// The lists and the places on the components, for rank 0 to write.
  ///
  /// - Collective: all ranks.
  private func files(
    _ set: FeatureSet, _ lists: [[Neighbour]], _ places: Tensor, _ communicator: Communicator
  ) throws(Failure) -> [(name: String, bytes: [UInt8])] {
    var (neighbours, map) = ("", "")
    for (row, image) in set.range.enumerated() {
      let entries = lists[row].map { entry in
        JSON.object([("image", .int(Int(set.indices[entry.index]))), ("cosine", .double(Double(entry.similarity)))])
      }
      neighbours +=
        JSON.object([("image", .int(Int(set.indices[image]))), ("neighbours", .array(entries))]).line + "\n"
      let coordinates = places.rows(row..<row + 1).array.map { "\($0)" }
      map += (["\(set.indices[image])", "\(set.labels[image])"] + coordinates).joined(separator: ",") + "\n"
    }
    let header = (["image", "label"] + (1...places.shape.lastAxis).map { "pc\($0)" }).joined(separator: ",") + "\n"
    let lines = try communicator.gather(Array(neighbours.utf8))
    let rows = try communicator.gather(Array(map.utf8))
    guard communicator.isCoordinator else { return [] }
    return [("neighbours.jsonl", lines.flatMap { $0 }), ("pca.csv", Array(header.utf8) + rows.flatMap { $0 })]
  }
}
