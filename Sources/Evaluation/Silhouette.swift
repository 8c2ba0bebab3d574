import Basics
import Messaging
import Tensors

/// How much nearer points are to their own class than to the next one: (b - a) / max(a, b) with a the mean distance to
/// the others of their class and b the smallest mean distance to another class; 0 for a point that is alone.
///
/// - Source: Rousseeuw, J. of Computational and Applied Mathematics 20, 1987; spec/evaluation.md E7.
public enum Silhouette {
  /// Points whose distances from all others are held at one time, and how many of the others.
  private static let tile = (rows: 1024, columns: 2048)

  /// The value of every point, -1 ... 1, on every rank; equal for every number of ranks and threads.
  ///
  /// - Parameter classes: more than one of them has points.
  /// - Shapes: points [n, D], labels [n] in 0 ..< classes -> [n]
  /// - Collective: all ranks; each works on its block of the points.
  public static func values(
    _ points: KMeansPoints, labels: [Int32], classes: Int, communicator: Communicator
  ) throws(Failure) -> [Double] {
    precondition(labels.count == points.count, "Silhouette: \(labels.count) labels for \(points.count) points")
    var sizes = [Int](repeating: 0, count: classes)
    for label in labels { sizes[Int(label)] += 1 }
    precondition(sizes.count { $0 > 0 } > 1, "Silhouette: one class alone")
    var values = [Double](repeating: 0, count: points.count)
    let own = blockRange(count: points.count, part: communicator.rank, of: communicator.size)
    for first in stride(from: own.lowerBound, to: own.upperBound, by: tile.rows) {
      let block = first..<min(first + tile.rows, own.upperBound)
      let sums = distanceSums(points, block, labels, classes)  // [block, classes]
      for point in block {
        let row = sums[(point - first) * classes..<(point - first + 1) * classes]
        values[point] = value(row, sizes, own: Int(labels[point]))
      }
    }
    // Every point has one owner: sums with zeros are exact.
    return try communicator.allReduceSum(values)
  }

  private static func value(_ sums: ArraySlice<Double>, _ sizes: [Int], own: Int) -> Double {
    guard sizes[own] > 1 else { return 0 }
    let inside = sums[sums.startIndex + own] / Double(sizes[own] - 1)
    var outside = Double.infinity
    for (number, sum) in sums.enumerated() where number != own && sizes[number] > 0 {
      outside = min(outside, sum / Double(sizes[number]))
    }
    let larger = max(inside, outside)
    return larger > 0 ? (outside - inside) / larger : 0
  }

  /// The sum of the distances of some points from the points of every class, [block, classes].
  private static func distanceSums(
    _ points: KMeansPoints, _ block: Range<Int>, _ labels: [Int32], _ classes: Int
  ) -> [Double] {
    var sums = [Double](repeating: 0, count: block.count * classes)
    let products = Tensor(uninitialized: [block.count, min(tile.columns, points.count)])
    let own = points.rows.rows(block)
    sums.withUnsafeMutableBufferPointer { sums in
      guard let base = sums.baseAddress else { return }
      for first in stride(from: 0, to: points.count, by: tile.columns) {
        let others = first..<min(first + tile.columns, points.count)
        // Its bits depend on the two points alone.
        let weight = PreparedWeight(.forward, points.rows.rows(others), engine: .native)
        weight.overRows(block.count) { rows in
          weight.multiply(own.pointer, rows: rows, into: products.pointer)  // [block, others]
          for row in rows {
            addDistances(
              points, from: block.lowerBound + row, to: others, products.pointer + row * others.count, labels,
              into: base + row * classes)
          }
        }
      }
    }
    return sums
  }

  private static func addDistances(
    _ points: KMeansPoints, from point: Int, to others: Range<Int>, _ products: UnsafePointer<Float>,
    _ labels: [Int32], into sums: UnsafeMutablePointer<Double>
  ) {
    let norm = points.squaredNorms[point]
    labels.withUnsafeBufferPointer { labels in
      points.squaredNorms.withUnsafeBufferPointer { norms in
        for other in others where other != point {
          let scale = norm + norms[other]
          var squared = scale - 2 * Double(products[other - others.lowerBound])
          if squared < scale * KMeansPoints.cancelled { squared = points.exactSquaredDistance(point, other) }
          sums[Int(labels[other])] += squared.squareRoot()
        }
      }
    }
  }
}
