import Basics
import Tensors

/// Centroids, and which of them a point is nearest to.
///
/// Products in single precision name the candidates, distances in double decide: who is nearest does not depend on
/// rounding, and so not on instruction set, product engine or the number of threads. Equal distances go to the centroid
/// with the lower number.
final class KMeansCentroids {
  let count: Int
  let width: Int
  /// The centroids, [k, D].
  private(set) var values: [Double]
  /// The same in single precision, and minus half of their squared lengths.
  private let rows: Tensor  // [k, D]
  private let offsets: Tensor  // [k]
  private var lengths: [Double]
  /// Points that are looked at together.
  private static let tile = 2048

  /// - Shapes: values [k, D]
  init(_ values: [Double], width: Int) {
    precondition(width > 0 && !values.isEmpty && values.count % width == 0, "KMeansCentroids: \(values.count) values")
    count = values.count / width
    self.width = width
    self.values = values
    rows = Tensor(uninitialized: [count, width])
    offsets = Tensor(uninitialized: [count])
    lengths = [Double](repeating: 0, count: count)
    change { _, _ in true }
  }

  /// Lets `body` rewrite the centroids, dealt to the team; it returns whether it has changed the one it was asked for.
  func change(_ body: (_ number: Int, _ centroid: UnsafeMutablePointer<Double>) -> Bool) {
    let (width, rows, offsets) = (width, rows.pointer, offsets.pointer)
    values.withUnsafeMutableBufferPointer { values in
      lengths.withUnsafeMutableBufferPointer { lengths in
        guard let base = values.baseAddress, let length = lengths.baseAddress else { return }
        Team.split(count) { range in
          for number in range {
            let centroid = base + number * width
            guard body(number, centroid) else { continue }
            for d in 0..<width { rows[number * width + d] = Float(centroid[d]) }
            let squared = squaredLength(rows + number * width, width)
            length[number] = squared.squareRoot()
            offsets[number] = Float(-squared / 2)
          }
        }
      }
    }
  }

  /// The nearest centroid of some points, and its squared distance.
  ///
  /// - Shapes: points [m, D], clusters and distances [m]
  func nearest(
    _ points: Tensor, clusters: UnsafeMutablePointer<Int32>, distances: UnsafeMutablePointer<Double>
  ) {
    precondition(points.shape.lastAxis == width, "KMeansCentroids: points \(points.shape), width \(width)")
    let weight = PreparedWeight(.forward, rows)
    // Of x c - |c|²/2 in any order of sums, over |x| c + c² for the longest c, which has been rounded itself.
    let rounding = Double(width + 16) * 0x1p-24
    let longest = lengths.max() ?? 0
    let scores = Tensor(uninitialized: [min(Self.tile, points.shape[0]), count])
    values.withUnsafeBufferPointer { values in
      guard let centroids = values.baseAddress else { return }
      for first in stride(from: 0, to: points.shape[0], by: Self.tile) {
        let tile = points.rows(first..<min(first + Self.tile, points.shape[0]))
        weight.overRows(tile.shape[0]) { range in
          weight.multiply(tile.pointer, rows: range, into: scores.pointer, bias: offsets.pointer)  // [tile, k]
          for row in range {
            let x = tile.pointer + row * width
            let length = squaredLength(x, width).squareRoot()
            let slack = Float(2 * rounding * longest * (length + longest))
            (clusters[first + row], distances[first + row]) = decide(
              x, scores.pointer + row * count, slack: slack.nextUp, centroids)
          }
        }
      }
    }
  }

  /// The nearest of all centroids whose scores are within `slack` of the best.
  private func decide(
    _ x: UnsafePointer<Float>, _ scores: UnsafePointer<Float>, slack: Float, _ centroids: UnsafePointer<Double>
  ) -> (Int32, Double) {
    let limit = (largest(scores, count) - slack).nextDown
    var (best, distance) = (-1, Double.infinity)
    for number in 0..<count where scores[number] >= limit {
      let candidate = squaredDistance(x, centroids + number * width, width)
      if candidate < distance { (best, distance) = (number, candidate) }
    }
    precondition(best >= 0, "KMeansCentroids: a distance is not a number")
    return (Int32(best), distance)
  }
}

/// The largest of some floats.
private func largest(_ x: UnsafePointer<Float>, _ count: Int) -> Float {
  var lanes = SIMD16<Float>(repeating: -.infinity)
  let whole = count & ~15
  for i in stride(from: 0, to: whole, by: 16) {
    let values = UnsafeRawPointer(x + i).loadUnaligned(as: SIMD16<Float>.self)
    lanes.replace(with: values, where: values .> lanes)
  }
  return (whole..<count).reduce(lanes.max()) { max($0, x[$1]) }
}
