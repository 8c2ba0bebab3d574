import Basics
import Tensors

/// Where a run of k-means ended.
struct KMeansRun {
  /// The centroids, [k, D].
  let centroids: [Double]
  /// The cluster of each point, [n].
  let clusters: [Int32]
  /// The sum of the squared distances of all points from their centroids.
  let inertia: Double
}

extension KMeansRun {
  /// Lloyd's algorithm, until no point changes its cluster.
  ///
  /// A cluster without points takes the point that is farthest from its centroid; where all points stand on theirs
  /// already, it stays empty.
  /// - Parameter observe: gets the inertia of each round, before its centroids move.
  /// - Shapes: centroids [k, D]
  static func lloyd(
    _ points: KMeansPoints, from centroids: [Double], observe: (Double) -> Void = { _ in }
  ) -> KMeansRun {
    let means = KMeansCentroids(centroids, width: points.width)
    var clusters = [Int32](repeating: -1, count: points.count)
    var nearest = clusters
    var distances = [Double](repeating: 0, count: points.count)
    var lowest = Double.infinity
    while true {
      means.nearest(points.rows, clusters: &nearest, distances: &distances)
      let inertia = distances.reduce(0, +)
      observe(inertia)
      // In exact arithmetic every change lowers it; rounding alone must not go on for ever.
      guard nearest != clusters, inertia < lowest else {
        return KMeansRun(centroids: means.values, clusters: nearest, inertia: inertia)
      }
      lowest = inertia
      clusters = nearest
      fillEmpty(&clusters, &distances, of: means.count)
      moveToMeans(means, points, clusters)
    }
  }

  /// Gives each cluster without points the farthest point of one that has others.
  private static func fillEmpty(_ clusters: inout [Int32], _ distances: inout [Double], of count: Int) {
    var sizes = [Int](repeating: 0, count: count)
    for cluster in clusters { sizes[Int(cluster)] += 1 }
    for empty in 0..<count where sizes[empty] == 0 {
      var farthest = -1
      for point in clusters.indices where distances[point] > (farthest < 0 ? 0 : distances[farthest]) {
        if sizes[Int(clusters[point])] > 1 { farthest = point }
      }
      guard farthest >= 0 else { return }
      sizes[Int(clusters[farthest])] -= 1
      sizes[empty] = 1
      clusters[farthest] = Int32(empty)
      distances[farthest] = 0
    }
  }

  private static func moveToMeans(_ means: KMeansCentroids, _ points: KMeansPoints, _ clusters: [Int32]) {
    let members = ClusterMembers(clusters, count: means.count)
    let (rows, width) = (points.rows.pointer, points.width)
    means.change { number, centroid in
      let own = members[number]
      guard !own.isEmpty else { return false }
      for d in 0..<width { centroid[d] = 0 }
      for point in own {
        let x = rows + Int(point) * width
        for d in 0..<width { centroid[d] += Double(x[d]) }
      }
      for d in 0..<width { centroid[d] /= Double(own.count) }
      return true
    }
  }
}

/// The points of each cluster, in their order.
struct ClusterMembers {
  private let order: [Int32]
  private let starts: [Int]

  /// - Shapes: clusters [n] in 0 ..< count
  init(_ clusters: [Int32], count: Int) {
    var starts = [Int](repeating: 0, count: count + 1)
    for cluster in clusters { starts[Int(cluster) + 1] += 1 }
    for number in 0..<count { starts[number + 1] += starts[number] }
    var next = starts
    var order = [Int32](repeating: 0, count: clusters.count)
    for (point, cluster) in clusters.enumerated() {
      order[next[Int(cluster)]] = Int32(point)
      next[Int(cluster)] += 1
    }
    self.order = order
    self.starts = starts
  }

  /// The points of a cluster.
  subscript(number: Int) -> ArraySlice<Int32> { order[starts[number]..<starts[number + 1]] }
}
