import Basics
import Features
import Messaging
import Tensors

/// k-means: centroids such that the sum of the squared distances of points from the nearest one is small.
///
/// The best of several runs that begin with different draws. The result is the same for every number of ranks and
/// threads: a run depends on the points, the options and its number alone.
/// - Source: spec/evaluation.md E7.
public struct KMeans: Sendable {
  /// How centroids are found.
  public enum Algorithm: String, CaseIterable, Sendable {
    /// Random batches, for large sets.
    case miniBatch = "minibatch"
    /// All points, until no point changes its cluster.
    case lloyd
  }

  /// What a fit depends on besides the points.
  public struct Options: Equatable, Sendable {
    /// Clusters, k.
    public var clusters: Int
    /// Runs with draws of their own.
    public var restarts = 1
    /// How centroids are found.
    public var algorithm = Algorithm.lloyd
    /// The first key of every draw.
    public var seed: UInt64 = 0
    /// Points of a mini-batch.
    public var batch = 1024
    /// Most passes of mini-batches over the points.
    public var epochs = 100
    /// Mini-batches without a gain of the smoothed inertia before a run ends.
    public var patience = 10
    /// Centroids with less than this part of the points of the largest one are moved onto points of the batch.
    public var reassignment = 0.01

    /// Options with the defaults of the protocol for everything else.
    public init(clusters: Int, restarts: Int = 1, algorithm: Algorithm = .lloyd, seed: UInt64 = 0) {
      self.clusters = clusters
      self.restarts = restarts
      self.algorithm = algorithm
      self.seed = seed
    }
  }

  /// The centroids of the best run, [k, D].
  public let centroids: Tensor
  /// The cluster of every point of all ranks, [n]; the same on all ranks.
  public let clusters: [Int32]
  /// The sum of the squared distances of all points from their centroids.
  public let inertia: Double
  /// The number of the best run.
  public let bestRun: Int
  /// The inertia of every run.
  public let inertias: [Double]
  /// The numbers of this rank's points.
  public let range: Range<Int>
  /// The clusters of this rank's points, [range.count].
  public var assignment: [Int32] { Array(clusters[range]) }

  /// Clusters the features of a set, as they are.
  ///
  /// - Parameters:
  ///   - k: clusters, at most as many as there are images.
  ///   - restarts: runs, dealt to the ranks.
  /// - Throws: bad config when there are fewer images than clusters; else as `KMeansPoints.init`.
  /// - Collective: all ranks.
  /// - Memory: as `KMeansPoints.init`.
  public static func fit(
    _ set: FeatureSet, k: Int, restarts: Int = 1, algorithm: Algorithm = .lloyd, seed: UInt64 = 0,
    communicator: Communicator
  ) throws(Failure) -> KMeans {
    try fit(
      KMeansPoints(set, communicator: communicator),
      Options(clusters: k, restarts: restarts, algorithm: algorithm, seed: seed), communicator: communicator)
  }

  /// Clusters points that every rank has.
  ///
  /// - Parameter observe: gets every run of this rank: its number and the cluster of every point.
  /// - Throws: bad config when there are fewer points than clusters.
  /// - Collective: all ranks.
  public static func fit(
    _ points: KMeansPoints, _ options: Options, communicator: Communicator,
    observe: (_ run: Int, _ clusters: [Int32]) -> Void = { _, _ in }
  ) throws(Failure) -> KMeans {
    try check(options, points)
    var inertias = [Double](repeating: 0, count: options.restarts)
    var best: (run: Int, result: KMeansRun)?
    for run in stride(from: communicator.rank, to: options.restarts, by: communicator.size) {
      let result = self.run(run, points, options)
      inertias[run] = result.inertia
      observe(run, result.clusters)
      if result.inertia < best?.result.inertia ?? .infinity { best = (run, result) }
    }
    // Every run has one owner: sums with zeros are exact.
    inertias = try communicator.allReduceSum(inertias)
    let winner = inertias.indices.min { inertias[$0] < inertias[$1] } ?? 0
    let owned = best.flatMap { $0.run == winner ? $0.result : nil }
    return try KMeans(
      owned, options.clusters, points, winner: winner, inertias, from: winner % communicator.size, communicator)
  }

  /// Clusters points of this rank alone.
  ///
  /// - Throws: bad config when there are fewer points than clusters.
  public static func fit(_ points: KMeansPoints, _ options: Options) throws(Failure) -> KMeans {
    try check(options, points)
    let results = (0..<options.restarts).map { run($0, points, options) }
    let inertias = results.map(\.inertia)
    let winner = inertias.indices.min { inertias[$0] < inertias[$1] } ?? 0
    return KMeans(results[winner], points, winner: winner, inertias, range: 0..<points.count)
  }

  private static func check(_ options: Options, _ points: KMeansPoints) throws(Failure) {
    precondition(options.restarts > 0 && options.batch > 0, "KMeans: \(options)")
    guard (1...points.count).contains(options.clusters) else {
      throw Failure(
        .badConfig, "\(points.count) images cannot form \(options.clusters) clusters", at: "k",
        hint: "set k between 1 and the number of images")
    }
  }

  private static func run(_ run: Int, _ points: KMeansPoints, _ options: Options) -> KMeansRun {
    switch options.algorithm {
    case .miniBatch: return .miniBatch(points, options, run: run)
    case .lloyd:
      var stream = RandomStream(seed: options.seed, purpose: .clustering, index: run)
      let chosen = KMeansSeeding.choose(options.clusters, of: points, &stream)
      return .lloyd(points, from: points.values(of: chosen))
    }
  }

  private init(_ run: KMeansRun, _ points: KMeansPoints, winner: Int, _ inertias: [Double], range: Range<Int>) {
    centroids = Tensor(run.centroids.map { Float($0) }, [run.centroids.count / points.width, points.width])
    clusters = run.clusters
    inertia = run.inertia
    bestRun = winner
    self.inertias = inertias
    self.range = range
  }

  /// Brings the best run from its owner to all ranks. Collective: all ranks.
  private init(
    _ owned: KMeansRun?, _ k: Int, _ points: KMeansPoints, winner: Int, _ inertias: [Double], from owner: Int,
    _ communicator: Communicator
  ) throws(Failure) {
    var centroids = owned?.centroids ?? [Double](repeating: 0, count: k * points.width)
    var clusters = owned?.clusters ?? [Int32](repeating: 0, count: points.count)
    try communicator.broadcast(&centroids, bytes: centroids.count * MemoryLayout<Double>.size, from: owner)
    try communicator.broadcast(&clusters, bytes: clusters.count * MemoryLayout<Int32>.size, from: owner)
    self.init(
      KMeansRun(centroids: centroids, clusters: clusters, inertia: inertias[winner]), points, winner: winner, inertias,
      range: blockRange(count: points.count, part: communicator.rank, of: communicator.size))
  }
}

extension KMeansPoints {
  /// Some points one after the other, [numbers.count, D].
  func values(of numbers: [Int]) -> [Double] {
    numbers.flatMap { number in (0..<width).map { Double(rows.pointer[number * width + $0]) } }
  }

  /// Copies some points.
  ///
  /// - Shapes: target [numbers.count, D]
  func copy(_ numbers: [Int32], into target: Tensor) {
    precondition(target.shape == [numbers.count, width], "KMeansPoints: \(numbers.count) points into \(target.shape)")
    Kernels.gatherRows(rows.pointer, numbers, into: target.pointer, rows: numbers.count, width: width)
  }
}
