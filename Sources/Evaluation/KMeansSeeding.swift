import Basics
import Glibc
import Tensors

/// Greedy k-means++: each new centroid is the best of a few points drawn with probability proportional to the squared
/// distance from the centroids so far.
///
/// - Source: Arthur and Vassilvitskii, SODA 2007, section 5; as in scikit-learn with 2 + floor(ln k) candidates.
struct KMeansSeeding {
  /// The points that may become centroids, [m, D].
  private let points: KMeansPoints
  private let packed: PreparedWeight
  /// The squared distance of each point from the nearest centroid so far.
  private var distances: [Double]

  /// The numbers of `count` points.
  ///
  /// - Memory: a packed copy of the points.
  static func choose(_ count: Int, of points: KMeansPoints, _ stream: inout RandomStream) -> [Int] {
    precondition(0 < count && count <= points.count, "k-means++: \(count) of \(points.count) points")
    var seeding = KMeansSeeding(points)
    var chosen = [stream.integer(below: points.count)]
    seeding.add(seeding.candidates([chosen[0]])[0], of: chosen[0])
    let trials = 2 + Int(log(Double(count)))
    while chosen.count < count {
      let drawn = seeding.draw(trials, &stream)
      let candidates = seeding.candidates(drawn)
      let totals = candidates.map { $0.reduce(0, +) }
      let best = totals.indices.min { totals[$0] < totals[$1] } ?? 0
      seeding.add(candidates[best], of: drawn[best])
      chosen.append(drawn[best])
    }
    return chosen
  }

  private init(_ points: KMeansPoints) {
    self.points = points
    // Its bits depend on the two points alone.
    packed = PreparedWeight(.forward, points.rows, engine: .native)
    distances = [Double](repeating: .infinity, count: points.count)
  }

  /// Points drawn with probability proportional to their distances, with replacement.
  private func draw(_ count: Int, _ stream: inout RandomStream) -> [Int] {
    var sums = distances
    for i in 1..<max(sums.count, 1) { sums[i] += sums[i - 1] }
    let total = sums[sums.count - 1]
    return (0..<count).map { _ in
      let target = stream.uniform() * total
      var (low, high) = (0, sums.count - 1)  // the first point whose sum is above the target, or the last one
      while low < high {
        let middle = (low + high) / 2
        if sums[middle] > target { high = middle } else { low = middle + 1 }
      }
      return low
    }
  }

  /// What the distances would be with one more centroid, for several of them.
  ///
  /// - Shapes: -> [numbers.count][m]
  private func candidates(_ numbers: [Int]) -> [[Double]] {
    let (count, width) = (points.count, points.width)
    let index = numbers.map(Int32.init)
    let rows = Tensor(uninitialized: [numbers.count, width])
    Kernels.gatherRows(points.rows.pointer, index, into: rows.pointer, rows: numbers.count, width: width)
    let products = Tensor(uninitialized: [numbers.count, count])
    packed.multiply(rows.pointer, rows: numbers.count, into: products.pointer)
    var results = [[Double]](repeating: [], count: numbers.count)
    results.withUnsafeMutableBufferPointer { results in
      guard let base = results.baseAddress else { return }
      Team.split(numbers.count) { range in
        for place in range {
          let product = products.pointer + place * count
          let norm = points.squaredNorms[numbers[place]]
          base[place] = [Double](unsafeUninitializedCapacity: count) { values, filled in
            for i in 0..<count {
              let scale = norm + points.squaredNorms[i]
              var squared = scale - 2 * Double(product[i])
              if squared < scale * KMeansPoints.cancelled {
                squared = points.exactSquaredDistance(numbers[place], i)
              }
              values.initializeElement(at: i, to: min(distances[i], squared))
            }
            filled = count
          }
        }
      }
    }
    return results
  }

  private mutating func add(_ distances: [Double], of number: Int) { self.distances = distances }
}
