import Basics
import Tensors

extension KMeansRun {
  /// Mini-batch k-means: centroids follow the means of the points that random batches gave them.
  ///
  /// - Parameter run: the number of the run, which keys its draws.
  /// - Source: Sculley, WWW 2010; stopping and reassignment as in scikit-learn.
  static func miniBatch(_ points: KMeansPoints, _ options: KMeans.Options, run: Int) -> KMeansRun {
    var seeding = RandomStream(seed: options.seed, purpose: .clustering, index: run)
    var batches = RandomStream(seed: options.seed, purpose: .clustering, index: run, view: 1)
    let sample = MiniBatch.sample(points, options, &seeding)
    let chosen = KMeansSeeding.choose(options.clusters, of: sample, &seeding)
    var state = MiniBatch(
      KMeansCentroids(sample.values(of: chosen), width: points.width), options, points: points.count)
    let batch = min(options.batch, points.count)
    let rows = Tensor(uninitialized: [batch, points.width])
    for _ in 0..<max(options.epochs * points.count / batch, 1) {
      let drawn = (0..<batch).map { _ in Int32(batches.integer(below: points.count)) }
      points.copy(drawn, into: rows)
      if state.follow(rows, &batches) { break }
    }
    var clusters = [Int32](repeating: 0, count: points.count)
    var distances = [Double](repeating: 0, count: points.count)
    state.centroids.nearest(points.rows, clusters: &clusters, distances: &distances)
    return KMeansRun(centroids: state.centroids.values, clusters: clusters, inertia: distances.reduce(0, +))
  }
}

/// Centroids on their way through batches.
struct MiniBatch {
  let centroids: KMeansCentroids
  private let options: KMeans.Options
  /// Points that each centroid has been given so far; what keeps it from moving.
  private(set) var counts: [Int]
  private var sinceReassignment = 0
  private var progress: SmoothedInertia

  init(_ centroids: KMeansCentroids, _ options: KMeans.Options, points: Int) {
    self.centroids = centroids
    self.options = options
    counts = [Int](repeating: 0, count: centroids.count)
    progress = SmoothedInertia(points: points, patience: options.patience)
  }

  /// The points that the first centroids are chosen among: three batches, or three for each cluster if that is more.
  static func sample(_ points: KMeansPoints, _ options: KMeans.Options, _ stream: inout RandomStream) -> KMeansPoints {
    let batch = min(options.batch, points.count)
    let wanted = 3 * batch < options.clusters ? 3 * options.clusters : 3 * batch
    guard wanted < points.count else { return points }
    let rows = Tensor(uninitialized: [wanted, points.width])
    points.copy(Array(stream.permutation(points.count).prefix(wanted)), into: rows)
    return KMeansPoints(rows)
  }

  /// Takes in one batch.
  ///
  /// - Shapes: batch [m, D]
  /// - Returns: whether the smoothed inertia has stopped to fall.
  mutating func follow(_ batch: Tensor, _ stream: inout RandomStream) -> Bool {
    let (size, width) = (batch.shape[0], batch.shape[1])
    let reassigns = isReassignmentDue(size)
    var clusters = [Int32](repeating: 0, count: size)
    var distances = [Double](repeating: 0, count: size)
    centroids.nearest(batch, clusters: &clusters, distances: &distances)
    let members = ClusterMembers(clusters, count: centroids.count)
    let before = counts
    for number in counts.indices { counts[number] += members[number].count }
    let rows = batch.pointer
    centroids.change { number, centroid in
      let own = members[number]
      guard !own.isEmpty else { return false }
      for d in 0..<width { centroid[d] *= Double(before[number]) }
      for point in own {
        let x = rows + Int(point) * width
        for d in 0..<width { centroid[d] += Double(x[d]) }
      }
      for d in 0..<width { centroid[d] /= Double(before[number] + own.count) }
      return true
    }
    if reassigns { reassign(batch, &stream) }
    return progress.see(distances.reduce(0, +), of: size)
  }

  /// Once in ten points a centroid, and as long as one has none.
  private mutating func isReassignmentDue(_ size: Int) -> Bool {
    sinceReassignment += size
    guard counts.contains(0) || sinceReassignment >= 10 * counts.count else { return false }
    sinceReassignment = 0
    return true
  }

  /// Moves centroids that few points came to onto random points of the batch, at most half as many as there are
  /// points, the rarest first.
  private mutating func reassign(_ batch: Tensor, _ stream: inout RandomStream) {
    let limit = options.reassignment * Double(counts.max() ?? 0)
    let rare = counts.indices.filter { Double(counts[$0]) < limit }.sorted {
      (counts[$0], $0) < (counts[$1], $1)
    }
    let moved = Set(rare.prefix(batch.shape[0] / 2))
    guard !moved.isEmpty, let smallest = counts.indices.filter({ !moved.contains($0) }).map({ counts[$0] }).min()
    else { return }
    let targets = Dictionary(uniqueKeysWithValues: zip(moved.sorted(), stream.permutation(batch.shape[0])))
    let (rows, width) = (batch.pointer, batch.shape[1])
    centroids.change { number, centroid in
      guard let target = targets[number] else { return false }
      for d in 0..<width { centroid[d] = Double(rows[Int(target) * width + d]) }
      return true
    }
    // As many points as the rarest of the others, or the centroid would move again at once.
    for number in moved { counts[number] = smallest }
  }
}

/// The inertia of batches, smoothed; says when it no longer falls.
struct SmoothedInertia {
  private let points: Int
  private let patience: Int
  private var isFirst = true
  private var average: Double?
  private var lowest = Double.infinity
  private var batchesWithoutGain = 0

  init(points: Int, patience: Int) {
    self.points = points
    self.patience = patience
  }

  /// Takes in the inertia of one batch; whether `patience` batches have brought no gain. The first one is left out: it
  /// is that of the first centroids.
  mutating func see(_ inertia: Double, of size: Int) -> Bool {
    guard !isFirst else {
      isFirst = false
      return false
    }
    let mean = inertia / Double(size)
    let weight = min(2 * Double(size) / Double(points + 1), 1)
    let smoothed = average.map { $0 * (1 - weight) + mean * weight } ?? mean
    average = smoothed
    batchesWithoutGain = smoothed < lowest ? 0 : batchesWithoutGain + 1
    lowest = min(lowest, smoothed)
    return batchesWithoutGain >= patience
  }
}
