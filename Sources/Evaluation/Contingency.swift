import Glibc

/// How often each cluster met each class: what all scores of a clustering against labels are made of.
///
/// - Source: spec/evaluation.md E7; Vinh, Epps and Bailey, JMLR 11, 2010; Hubert and Arabie, J. of Classification 2, 1985.
public struct Contingency: Equatable, Sendable {
  /// Points by class and cluster, [K, k].
  public let counts: [[Int]]
  /// Points of each class, [K].
  public let classSizes: [Int]
  /// Points of each cluster, [k].
  public let clusterSizes: [Int]
  /// Points.
  public let total: Int

  /// Counts given labels and clusters.
  ///
  /// - Shapes: labels [N] in 0 ..< classes, clusters [N] in 0 ..< clusterCount.
  public init(labels: some Collection<Int32>, clusters: some Collection<Int32>, classes: Int, clusterCount: Int) {
    precondition(labels.count == clusters.count, "Contingency: \(labels.count) labels, \(clusters.count) clusters")
    var counts = [[Int]](repeating: [Int](repeating: 0, count: clusterCount), count: classes)
    for (label, cluster) in zip(labels, clusters) { counts[Int(label)][Int(cluster)] += 1 }
    self.init(counts: counts)
  }

  /// A table that is there already.
  public init(counts: [[Int]]) {
    self.counts = counts
    classSizes = counts.map { $0.reduce(0, +) }
    clusterSizes = counts.first.map { $0.indices.map { column in counts.reduce(0) { $0 + $1[column] } } } ?? []
    total = classSizes.reduce(0, +)
    precondition(total > 0, "Contingency: no points")
  }

  /// The clusters that stand for the classes, one-to-one, so that most points agree; nil where there are fewer clusters.
  public var clustersOfClasses: [Int?] { assignment(maximising: counts) }

  /// The points that agree under a map of classes to clusters.
  public func matches(_ map: [Int?]) -> Int {
    zip(counts, map).reduce(0) { sum, pair in sum + (pair.1.map { pair.0[$0] } ?? 0) }
  }

  /// The entropy of the classes, in nats.
  public var classEntropy: Double { entropy(classSizes) }
  /// The entropy of the clusters, in nats.
  public var clusterEntropy: Double { entropy(clusterSizes) }

  /// What class and cluster say about each other, in nats.
  public var mutualInformation: Double {
    let n = Double(total)
    var sum = 0.0
    for (row, size) in zip(counts, classSizes) {
      for (count, clusterSize) in zip(row, clusterSizes) where count > 0 {
        sum += Double(count) / n * log(n * Double(count) / (Double(size) * Double(clusterSize)))
      }
    }
    return max(sum, 0)
  }

  /// Mutual information over the mean of the entropies, 0 ... 1.
  public var normalizedMutualInformation: Double {
    let mean = (classEntropy + clusterEntropy) / 2
    return mean > 0 ? mutualInformation / mean : 1
  }

  /// Mutual information above what chance gives, over the most that it could be above chance.
  public var adjustedMutualInformation: Double {
    let mean = (classEntropy + clusterEntropy) / 2
    guard mean > 0 else { return 1 }
    let expected = expectedMutualInformation
    let (gain, room) = (mutualInformation - expected, mean - expected)
    // Where every clustering of such sizes is perfect, both are 0 but for rounding; else there is room for 1 / total.
    return abs(room) <= 1e-9 * mean ? 1 : gain / room
  }

  /// The mean mutual information of all clusterings with clusters of these sizes, in nats.
  public var expectedMutualInformation: Double {
    let logFactorial = (0...total).map { logGamma(Double($0) + 1) }
    var sum = 0.0
    for (a, classCount) in multiplicities(classSizes) {
      for (b, clusterCount) in multiplicities(clusterSizes) {
        sum += Double(classCount * clusterCount) * expectedPart(a, b, logFactorial)
      }
    }
    return sum
  }

  /// What a class of `a` points and a cluster of `b` add: the mean over the number t of points that they share.
  private func expectedPart(_ a: Int, _ b: Int, _ logFactorial: [Double]) -> Double {
    let n = Double(total)
    let pairs = Double(a) * Double(b)
    var fixed = logFactorial[a] + logFactorial[b] - logFactorial[total]
    fixed += logFactorial[total - a] + logFactorial[total - b]
    var sum = 0.0
    for t in max(1, a + b - total)...min(a, b) {
      let inside: Double = logFactorial[t] + logFactorial[a - t]
      let outside: Double = logFactorial[b - t] + logFactorial[total - a - b + t]
      let shared = Double(t)
      sum += shared / n * log(n * shared / pairs) * exp(fixed - inside - outside)
    }
    return sum
  }

  /// Agreement of pairs of points above chance; over ordered pairs.
  public var adjustedRandIndex: Double {
    var (squares, byCluster, byClass) = (0, 0, 0)
    for (row, size) in zip(counts, classSizes) {
      for (count, clusterSize) in zip(row, clusterSizes) {
        squares += count * count
        byCluster += count * clusterSize
        byClass += count * size
      }
    }
    let (together, falsePositives, falseNegatives) = (squares - total, byCluster - squares, byClass - squares)
    guard falsePositives != 0 || falseNegatives != 0 else { return 1 }
    let apart = total * total - falsePositives - falseNegatives - squares
    let (tp, fp, fn, tn) = (Double(together), Double(falsePositives), Double(falseNegatives), Double(apart))
    return 2 * (tp * tn - fn * fp) / ((tp + fn) * (fn + tn) + (tp + fp) * (fp + tn))
  }

  private func entropy(_ sizes: [Int]) -> Double {
    sizes.reduce(0) { sum, size in
      let share = Double(size) / Double(total)
      return size > 0 ? sum - share * log(share) : sum
    }
  }

  /// The sizes above 0 that occur, ascending, and how often: sums over pairs of clusters run over pairs of sizes.
  private func multiplicities(_ sizes: [Int]) -> [(size: Int, count: Int)] {
    var times: [Int: Int] = [:]
    for size in sizes where size > 0 { times[size, default: 0] += 1 }
    return times.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }
}

private func logGamma(_ x: Double) -> Double {
  var sign: Int32 = 0
  return lgamma_r(x, &sign)
}
