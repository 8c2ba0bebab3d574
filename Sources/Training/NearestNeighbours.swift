import Basics
import Glibc
import Tensors

/// Weighted k-nearest-neighbour classification of normalised features.
///
/// Products are computed in tiles of one fixed shape, so that every similarity has the same bits for any number of
/// ranks and any batch size.
/// - Source: `spec/evaluation.md` E1 and section 1.4.
struct NearestNeighbours {
  /// One neighbour of a query.
  struct Neighbour: Equatable {
    let similarity: Float
    let index: Int
  }

  static let queryTile = 64
  static let bankTile = 1024

  private let bank: [Float]  // [n, D], rows of norm 1
  private let width: Int
  private let scaling: Standardisation?
  private let labels: [Int32]
  private let classes: Int

  /// - Shapes: features [n, D]; they are normalised here.
  /// - Parameter standardise: give every dimension mean 0 and deviation 1 over the bank first, queries alike.
  init(features: [Float], width: Int, labels: [Int32], standardise: Bool = false) {
    precondition(features.count == labels.count * width, "NearestNeighbours: \(features.count) values")
    scaling = standardise ? Standardisation(features, width: width) : nil
    bank = NearestNeighbours.normalised(scaling?.applied(to: features) ?? features, width: width)
    self.width = width
    self.labels = labels
    classes = Int(labels.max() ?? 0) + 1
  }

  /// The `k` nearest bank rows of every query: similarity descending, then index ascending.
  ///
  /// - Shapes: queries [q, D], normalised here.
  func nearest(_ queries: [Float], k: Int) -> [[Neighbour]] {
    let unit = NearestNeighbours.normalised(scaling?.applied(to: queries) ?? queries, width: width)
    let count = unit.count / width
    let keep = min(k, labels.count)
    var best = [[Neighbour]](repeating: [], count: count)
    let scores = Tensor(uninitialized: [NearestNeighbours.queryTile, NearestNeighbours.bankTile])
    for firstBank in stride(from: 0, to: labels.count, by: NearestNeighbours.bankTile) {
      let bankRows = padded(bank, from: firstBank, rows: NearestNeighbours.bankTile)
      for firstQuery in stride(from: 0, to: count, by: NearestNeighbours.queryTile) {
        let queryRows = padded(unit, from: firstQuery, rows: NearestNeighbours.queryTile)
        Matmul.forward(queryRows, bankRows, into: scores)  // [64, 1024]
        for row in 0..<min(NearestNeighbours.queryTile, count - firstQuery) {
          let line = scores.pointer + row * NearestNeighbours.bankTile
          for column in 0..<min(NearestNeighbours.bankTile, labels.count - firstBank) {
            insert(
              Neighbour(similarity: line[column], index: firstBank + column), into: &best[firstQuery + row],
              keep: keep)
          }
        }
      }
    }
    return best
  }

  /// The class every query's neighbours vote for, with weights exp(similarity / temperature); ties go to the lower
  /// class.
  func predictions(_ neighbours: [[Neighbour]], k: Int, temperature: Double) -> [Int32] {
    neighbours.map { list in
      var scores = [Double](repeating: 0, count: classes)
      let top = Double(list.first?.similarity ?? 0)
      for neighbour in list.prefix(k) {
        scores[Int(labels[neighbour.index])] += exp((Double(neighbour.similarity) - top) / temperature)
      }
      let winner = scores.indices.max { scores[$0] < scores[$1] || (scores[$0] == scores[$1] && $0 > $1) }
      return Int32(winner ?? 0)
    }
  }

  private func insert(_ candidate: Neighbour, into list: inout [Neighbour], keep: Int) {
    if list.count == keep, let last = list.last, candidate.similarity <= last.similarity { return }
    var position = list.count
    while position > 0, list[position - 1].similarity < candidate.similarity { position -= 1 }
    list.insert(candidate, at: position)
    if list.count > keep { list.removeLast() }
  }

  private func padded(_ values: [Float], from first: Int, rows: Int) -> Tensor {
    let tile = Tensor(zeros: [rows, width])
    let end = min((first + rows) * width, values.count)
    for i in first * width..<end { tile.pointer[i - first * width] = values[i] }
    return tile
  }

  /// Rows divided by max(norm, 1e-12).
  static func normalised(_ features: [Float], width: Int) -> [Float] {
    var out = features
    for row in 0..<features.count / max(width, 1) {
      let range = row * width..<(row + 1) * width
      let squares = features[range].reduce(0.0) { $0 + Double($1) * Double($1) }
      let scale = Float(1 / max(squares.squareRoot(), 1e-12))
      for i in range { out[i] *= scale }
    }
    return out
  }
}

/// Mean and deviation of every dimension over a bank of features.
///
/// - Source: MAE-CT's monitor; `spec/evaluation.md` E1, `--standardise`: unbiased deviation + 1e-5.
struct Standardisation {
  private let mean: [Double]
  private let deviation: [Double]

  init(_ features: [Float], width: Int) {
    let rows = features.count / max(width, 1)
    var sums = [Double](repeating: 0, count: width)
    var squares = [Double](repeating: 0, count: width)
    for row in 0..<rows { for d in 0..<width { sums[d] += Double(features[row * width + d]) } }
    let mean = sums.map { $0 / Double(max(rows, 1)) }
    for row in 0..<rows {
      for d in 0..<width {
        let difference = Double(features[row * width + d]) - mean[d]
        squares[d] += difference * difference
      }
    }
    self.mean = mean
    deviation = squares.map { ($0 / Double(max(rows - 1, 1))).squareRoot() + 1e-5 }
  }

  /// - Shapes: features [n, D] -> [n, D]
  func applied(to features: [Float]) -> [Float] {
    features.enumerated().map { place, value in
      let d = place % mean.count
      return Float((Double(value) - mean[d]) / deviation[d])
    }
  }
}

/// Signs of collapse, read off normalised features.
struct FeatureHealth {
  /// The mean over dimensions of the standard deviation of normalised features: 0 when collapsed, about
  /// 1/sqrt(D) when isotropic.
  let standardDeviation: Double
  /// exp of the entropy of the singular values' shares: how many directions are in use.
  let effectiveRank: Double

  /// - Shapes: features [n, D].
  /// - Source: `spec/evaluation.md` E1, in the trainer.
  init(features: [Float], width: Int) {
    let unit = NearestNeighbours.normalised(features, width: width)
    let count = unit.count / max(width, 1)
    var mean = [Double](repeating: 0, count: width)
    var square = [Double](repeating: 0, count: width)
    for row in 0..<count {
      for d in 0..<width {
        let value = Double(unit[row * width + d])
        mean[d] += value
        square[d] += value * value
      }
    }
    let n = Double(max(count, 1))
    let deviations = (0..<width).map { d in max(0, square[d] / n - (mean[d] / n) * (mean[d] / n)).squareRoot() }
    standardDeviation = deviations.reduce(0, +) / Double(max(width, 1))
    let rows = Tensor(unit, [count, width])
    let gram = Tensor(zeros: [width, width])
    Matmul.weightGradient(rows, rows, into: gram)  // [D, D] = X^T X
    let singular = Spectrum.symmetricEigenvalues(gram).map { max(0, $0).squareRoot() }
    let total = singular.reduce(0, +)
    let shares = singular.map { $0 / max(total, 1e-300) }.filter { $0 > 0 }
    effectiveRank = exp(-shares.reduce(0) { $0 + $1 * log($1) })
  }
}
