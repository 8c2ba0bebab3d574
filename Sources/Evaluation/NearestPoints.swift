import Basics
import Tensors

extension KMeans {
  /// The points nearest to each centroid, and their squared distances: the nearest first, of equally near ones the first.
  ///
  /// Products in single precision leave out what is too far, distances in double decide.
  /// - Parameter count: points of each centroid, at least 1.
  /// - Shapes: points [n, D] -> [k][count]
  public func nearestPoints(of points: KMeansPoints, count: Int) -> [[(point: Int, distance: Double)]] {
    precondition(count > 0 && centroids.shape[1] == points.width, "nearestPoints: \(count) of \(points.rows.shape)")
    let (k, width, tile) = (centroids.shape[0], points.width, 2048)
    let exact = centroids.array.map(Double.init)
    let norms = (0..<k).map { squaredLength(centroids.pointer + $0 * width, width) }
    let products = Tensor(uninitialized: [k, min(tile, points.count)])
    // Of a product, over the product of the two lengths.
    let rounding = Double(width + 16) * 0x1p-24
    var lists = [[(point: Int, distance: Double)]](repeating: [], count: k)
    lists.withUnsafeMutableBufferPointer { lists in
      guard let base = lists.baseAddress else { return }
      for first in stride(from: 0, to: points.count, by: tile) {
        let block = first..<min(first + tile, points.count)
        let weight = PreparedWeight(.forward, points.rows.rows(block))
        weight.overRows(k) { clusters in
          weight.multiply(centroids.pointer, rows: clusters, into: products.pointer)  // [k, block]
          for cluster in clusters {
            let row = products.pointer + cluster * block.count
            var limit = base[cluster].count < count ? .infinity : base[cluster][count - 1].distance
            for point in block {
              let scale = norms[cluster] + points.squaredNorms[point]
              // 2 |x| |c| is at most the sum of the squares.
              guard scale - 2 * Double(row[point - first]) - rounding * scale <= limit else { continue }
              let distance = exact.withUnsafeBufferPointer {
                squaredDistance(
                  points.rows.pointer + point * width, $0.baseAddress.unsafelyUnwrapped + cluster * width, width)
              }
              guard distance < limit else { continue }
              let place = base[cluster].firstIndex { distance < $0.distance } ?? base[cluster].count
              base[cluster].insert((point, distance), at: place)
              if base[cluster].count > count { base[cluster].removeLast() }
              if base[cluster].count == count { limit = base[cluster][count - 1].distance }
            }
          }
        }
      }
    }
    return lists
  }
}
