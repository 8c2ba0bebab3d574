import Basics
import Features
import Settings

/// k-means against the classes: do images of a class lie together without any label?
///
/// - Source: spec/evaluation.md E7, and the confusion matrix and cluster sheets of E16.
public struct Cluster: Evaluator {
  /// `cluster`
  public static let name = "cluster"
  /// In one line.
  public static let question = "Do the classes form clusters of their own, without any label?"

  /// Clusters; nil for one a class.
  private let clusters: Int?
  private let algorithm: KMeans.Algorithm
  private let runs: Int
  private let batch: Int
  private let epochs: Int
  private let patience: Int
  private let reassignment: Double
  private let placement: PointPlacement
  private let images: Int

  /// Reads the parameters.
  ///
  /// - Throws: bad config for one that is wrong.
  public init(_ section: Section, isTiny: Bool) throws(Failure) {
    clusters = try section.optionalInt("k", in: 1..., absent: "classes", "clusters; as many as there are classes")
    let standard = isTiny ? KMeans.Algorithm.lloyd : .miniBatch
    let word = try section.choice(
      "algorithm", default: standard.rawValue, KMeans.Algorithm.allCases.map(\.rawValue),
      "random batches, or all points in every round")
    algorithm = KMeans.Algorithm(rawValue: word) ?? standard
    runs = try section.int("runs", default: isTiny ? 10 : 100, in: 1..., "runs of k-means; the lowest inertia counts")
    batch = try section.int("batch", default: 1024, in: 1..., unit: "images", "points of a mini-batch")
    epochs = try section.int("epochs", default: 100, in: 1..., "most passes of mini-batches over the images")
    patience = try section.int(
      "patience", default: 10, in: 1..., unit: "batches", "mini-batches without a gain before a run ends")
    reassignment = try section.double(
      "reassignment", default: 0.01, in: 0..<1,
      "centroids with less than this part of the points of the largest one are moved")
    let place = try section.choice(
      "placement", default: PointPlacement.node.rawValue, PointPlacement.allCases.map(\.rawValue),
      "one copy of all features on every node, in /dev/shm, or one on every rank")
    placement = PointPlacement(rawValue: place) ?? .node
    images = try section.int("images", default: 10, in: 1..., "images on the sheet of a cluster")
  }

  /// One vector an image.
  public var feature: FeatureChoice { .image }

  /// Clusters the validation images and compares with their classes.
  ///
  /// - Throws: bad data when an image has no label or a class no image, bad config for more clusters than images.
  /// - Collective: all ranks.
  public func evaluate(_ context: EvaluationContext) throws -> EvaluationReport {
    let set = try context.labelled(.val)
    var options = KMeans.Options(
      clusters: clusters ?? set.classes, restarts: runs, algorithm: algorithm, seed: context.seed)
    options.batch = batch
    options.epochs = epochs
    options.patience = patience
    options.reassignment = reassignment
    let clustering = try Clustering(set, options, placement: placement, communicator: context.communicator)
    let silhouette = try Silhouette.values(
      clustering.points, labels: set.labels, classes: set.classes, communicator: context.communicator)
    return report(clustering, silhouette: silhouette, set, options)
  }

  private func report(
    _ clustering: Clustering, silhouette: [Double], _ set: FeatureSet, _ options: KMeans.Options
  ) -> EvaluationReport {
    var report = EvaluationReport()
    let table = clustering.contingency
    report.add("cluster.acc", table.matches(clustering.clustersOfClasses), of: table.total)
    report.add("cluster.nmi", 100 * table.normalizedMutualInformation)
    report.add("cluster.ami", 100 * table.adjustedMutualInformation)
    report.add("cluster.ari", 100 * table.adjustedRandIndex)
    report.add("cluster.silhouette", 100 * silhouette.reduce(0, +) / Double(silhouette.count))
    report.add("cluster.inertia", clustering.kmeans.inertia)
    report.add("cluster.best_run", count: clustering.kmeans.bestRun)
    let runs = clustering.scoresOfRuns
    report.add("cluster.runs.acc", perSeed: runs.map { 100 * Double($0.matches) / Double(table.total) })
    report.add("cluster.runs.nmi", perSeed: runs.map { 100 * $0.nmi })
    report.add("cluster.runs.ami", perSeed: runs.map { 100 * $0.ami })
    report.add("cluster.runs.ari", perSeed: runs.map { 100 * $0.ari })
    report.add("cluster.runs.inertia", perSeed: clustering.kmeans.inertias)
    report.headline = ["cluster.acc", "cluster.nmi", "cluster.ami", "cluster.ari", "cluster.silhouette"]
    report.set("k", .int(options.clusters))
    report.set("algorithm", .string(algorithm.rawValue))
    report.set("runs", .int(options.restarts))
    if algorithm == .miniBatch {
      report.set("batch", .int(batch))
      report.set("epochs", .int(epochs))
      report.set("patience", .int(patience))
      report.set("reassignment", .double(reassignment))
    }
    report.set("standardised", .bool(true))
    report.notes.append("the silhouette is that of the true classes in the standardised space")
    report.files = [
      ("confusion.csv", Array(clustering.confusion.csv(classNames: set.classNames).utf8)),
      ("sheets.json", Array((sheets(clustering, set).line + "\n").utf8)),
    ]
    return report
  }

  /// Of every cluster its class, its size and the images nearest to its centroid.
  private func sheets(_ clustering: Clustering, _ set: FeatureSet) -> JSON {
    var classes = [Int?](repeating: nil, count: clustering.contingency.clusterSizes.count)
    for (number, cluster) in clustering.clustersOfClasses.enumerated() {
      if let cluster { classes[cluster] = number }
    }
    let lists = clustering.sheets(of: set, count: images)
    return .array(
      lists.enumerated().map { cluster, list in
        .object([
          ("cluster", .int(cluster)), ("class", classes[cluster].map { .int($0) } ?? .null),
          (
            "class_name",
            classes[cluster].flatMap { set.classNames.indices.contains($0) ? .string(set.classNames[$0]) : nil }
              ?? .null
          ),
          ("size", .int(clustering.contingency.clusterSizes[cluster])),
          ("images", .array(list.map { .int(Int($0.image)) })),
          ("distances", .array(list.map { .double($0.distance) })),
        ])
      })
  }
}
