import Basics
import Features
import Messaging

/// Labelled features in clusters, and how well these fit the classes.
public struct Clustering: Sendable {
  /// The best clustering.
  public let kmeans: KMeans
  /// The points that were clustered, standardised.
  public let points: KMeansPoints
  /// Class and cluster of the points.
  public let contingency: Contingency
  /// The cluster that stands for each class, [K]; nil where there are fewer clusters than classes.
  public let clustersOfClasses: [Int?]
  /// Scores of every run: accuracy as a count, then NMI, AMI, ARI.
  let scoresOfRuns: [ClusterScores]

  /// The table of classes and clusters, agreement on the diagonal.
  public var confusion: Confusion { Confusion(contingency, clustersOfClasses: clustersOfClasses) }

  /// Clusters the features of a set in the standardised space and compares with the labels.
  ///
  /// - Parameters:
  ///   - set: every image with a label, as `EvaluationContext.labelled` makes sure.
  ///   - options: `clusters` and the rest of k-means; nil clusters stand for one a class.
  /// - Throws: bad data when there is one class alone; else as `KMeansPoints.init` and `KMeans.fit`.
  /// - Collective: all ranks.
  /// - Memory: as `KMeansPoints.init`.
  public init(
    _ set: FeatureSet, _ options: KMeans.Options, placement: PointPlacement = .node, communicator: Communicator
  ) throws(Failure) {
    try set.requireLabels(.val)
    guard set.classes > 1 else {
      throw Failure(
        .badData, "there is one class alone", at: set.origin.data,
        hint: "clusters are compared with at least two classes")
    }
    points = try KMeansPoints(set, isStandardised: true, placement: placement, communicator: communicator)
    let count = ClusterScores.count
    var scores = [Double](repeating: 0, count: options.restarts * count)
    func table(_ clusters: [Int32]) -> Contingency {
      Contingency(labels: set.labels, clusters: clusters, classes: set.classes, clusterCount: options.clusters)
    }
    kmeans = try KMeans.fit(points, options, communicator: communicator) { run, clusters in
      scores.replaceSubrange(run * count..<(run + 1) * count, with: ClusterScores(table(clusters)).values)
    }
    // Every run has one owner: sums with zeros are exact.
    scores = try communicator.allReduceSum(scores)
    scoresOfRuns = (0..<options.restarts).map { ClusterScores(Array(scores[$0 * count..<($0 + 1) * count])) }
    contingency = table(kmeans.clusters)
    clustersOfClasses = contingency.clustersOfClasses
  }

  /// The images nearest to each centroid, the nearest first, as numbers in the set's source.
  ///
  /// - Shapes: -> [k][count]
  /// - Source: spec/evaluation.md E16, cluster sheets.
  public func sheets(of set: FeatureSet, count: Int = 10) -> [[(image: Int64, distance: Double)]] {
    kmeans.nearestPoints(of: points, count: count).map { list in
      list.map { (set.indices[$0.point], $0.distance.squareRoot()) }
    }
  }
}
