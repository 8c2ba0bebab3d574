import Basics
import Glibc
import Messaging
import Synchronization
import Tensors

/// F(W) = 1/n sum_i CE(W x_i, y_i) + lambda / (2 n) |W|², and its gradient, in double precision.
///
/// Every tile's part of the gradient is rounded to a multiple of one unit before parts are added. Sums of such multiples
/// are exact, so neither the order of the additions nor who makes them shows: value and gradient have the same bits on
/// any number of ranks and threads. The unit lies 2^-51 below a bound of the sum, far below what a solver sees.
/// - Shapes: n rows, D numbers a row, C classes.
/// - Source: spec/evaluation.md E4; Demmel and Nguyen, Fast Reproducible Floating-Point Summation, ARITH 2013.
final class LowShotObjective {
  private let rows: LowShotRows
  private let classes: Int
  private let penalty: Double
  private let communicator: Communicator
  /// v + shift - shift is v, rounded to the unit.
  private let shift: Double

  init(_ rows: LowShotRows, classes: Int, lambda: Double, _ communicator: Communicator) {
    (self.rows, self.classes, self.communicator) = (rows, classes, communicator)
    penalty = lambda / Double(rows.count)
    // |sum_i (p_i - y_i) x_i| <= n max |x|, and 3 times the next power of two has a last bit of 2^-51 of it.
    let bound = max(Double(rows.count) * rows.largest, .leastNormalMagnitude)
    shift = 3 * Double(sign: .plus, exponent: bound.exponent + 1, significand: 1)
  }

  /// The value at W; writes the gradient.
  ///
  /// - Shapes: weights, gradient [C D]
  /// - Collective: all ranks, with the same weights.
  func evaluate(_ weights: [Double], gradient: inout [Double]) throws(Failure) -> Double {
    let sums = ownSums(weights)
    try communicator.allReduceSum(sums.pointer, sums.count)
    let (size, count) = (weights.count, Double(rows.count))
    var squares = 0.0
    for i in 0..<size {
      gradient[i] = sums.pointer[i] / count + penalty * weights[i]
      squares += weights[i] * weights[i]
    }
    var loss = 0.0
    for tile in 0..<rows.tileCount { loss += sums.pointer[size + tile] }
    return loss / count + penalty / 2 * squares
  }

  /// What this rank's tiles bring: the gradient's sum, then the loss of every tile, 0 for those of other ranks.
  ///
  /// - Shapes: weights [C D] -> [1, C D + tiles]
  func ownSums(_ weights: [Double]) -> DoubleMatrix {
    let size = classes * rows.width
    precondition(weights.count == size, "LowShotObjective: \(weights.count) weights of \(size)")
    let matrix = DoubleMatrix(zeros: classes, rows.width)
    for i in 0..<size { matrix.pointer[i] = weights[i] }
    let sums = DoubleMatrix(zeros: 1, size + rows.tileCount)
    addParts(matrix, to: sums.pointer, losses: sums.pointer + size)
    return sums
  }

  /// The parts of this rank's tiles, which threads take when they are free.
  private func addParts(
    _ weights: DoubleMatrix, to gradient: UnsafeMutablePointer<Double>, losses: UnsafeMutablePointer<Double>
  ) {
    let next = Atomic<Int>(0)
    let sums = Mutex(0)
    nonisolated(unsafe) let (total, losses) = (gradient, losses)
    Team.run {
      var worker: TileWorker?
      while true {
        let place = next.wrappingAdd(1, ordering: .relaxed).oldValue
        guard place < rows.tiles.count else { break }
        let tile = rows.tiles[place]
        let current = worker ?? TileWorker(rows: rows.tiles.map(\.labels.count).max() ?? 0, weights)
        worker = current
        losses[tile.number] = current.add(tile, weights, shift: shift)
      }
      guard let worker else { return }
      // Exact sums: threads may come in any order.
      sums.withLock { _ in
        for i in 0..<weights.count { total[i] += worker.gradient.pointer[i] }
      }
    }
  }
}

/// What a thread needs to go over tiles, and the gradient of those it went over.
private final class TileWorker {
  /// [C, D], sums of multiples of the unit.
  let gradient: DoubleMatrix
  private let part: DoubleMatrix
  private let logits: DoubleMatrix

  init(rows: Int, _ weights: DoubleMatrix) {
    gradient = DoubleMatrix(zeros: weights.rows, weights.columns)
    part = DoubleMatrix(zeros: weights.rows, weights.columns)
    logits = DoubleMatrix(zeros: rows, weights.rows)
  }

  /// Adds the gradient of a tile, rounded; the loss of its rows.
  func add(_ tile: LowShotRows.Tile, _ weights: DoubleMatrix, shift: Double) -> Double {
    DoubleMatrix.productTransposed(tile.rows, weights, into: logits)  // [n, C]
    var loss = 0.0
    for (row, label) in tile.labels.enumerated() {
      loss += TileWorker.differentiate(logits.pointer + row * logits.columns, logits.columns, label: Int(label))
    }
    DoubleMatrix.transposedProduct(logits, tile.rows, into: part)  // [C, D]
    let (total, part) = (gradient.pointer, part.pointer)
    for i in 0..<gradient.count { total[i] += (part[i] + shift) - shift }
    return loss
  }

  /// Overwrites logits by softmax minus one-hot; the cross-entropy.
  private static func differentiate(_ row: UnsafeMutablePointer<Double>, _ classes: Int, label: Int) -> Double {
    var top = row[0]
    for c in 1..<classes { top = max(top, row[c]) }
    let own = row[label] - top
    var sum = 0.0
    for c in 0..<classes {
      row[c] = exp(row[c] - top)
      sum += row[c]
    }
    for c in 0..<classes { row[c] /= sum }
    row[label] -= 1
    return log(sum) - own
  }
}
