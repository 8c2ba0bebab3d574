import Basics
import Messaging
import Tensors

/// The directions in which features vary most.
///
/// - Source: spec/evaluation.md E16.
public struct PCA: Sendable {
  /// Rows that are centred and projected together.
  private static let tile = 1024

  /// The mean of the features, [D].
  public let mean: Tensor
  /// Unit directions, the largest variance first; the entry of largest size in each is positive, [k, D].
  public let components: Tensor
  /// The variance along each, with n - 1 below, [k].
  public let explainedVariance: [Double]
  /// Its share in the variance of all directions, [k].
  public let explainedRatio: [Double]

  /// The main directions of a set of features, of every vector of the last axis.
  ///
  /// - Parameter components: at most D.
  /// - Throws: non-finite when a feature is not a number; bad data when there are fewer than two.
  /// - Collective: all ranks.
  public static func fit(_ set: FeatureSet, components: Int, communicator: Communicator) throws(Failure) -> PCA {
    try set.requireNumbers(communicator)
    return try fit(
      rows: set.rows.reshaped([set.rows.shape.leading, set.rows.shape.lastAxis]), components: components,
      communicator: communicator)
  }

  /// The main directions of the rows of all ranks.
  ///
  /// - Parameters:
  ///   - rows: those of this rank, numbers all; any count, also none.
  ///   - components: at most D.
  /// - Shapes: rows [n of this rank, D]
  /// - Throws: bad data when all ranks together have fewer than two rows.
  /// - Collective: all ranks.
  public static func fit(rows: Tensor, components: Int, communicator: Communicator) throws(Failure) -> PCA {
    let width = rows.shape.lastAxis
    precondition(
      rows.shape.rank == 2 && (1...width).contains(components), "PCA: \(components) components of \(rows.shape)")
    let count = Int(try communicator.allReduceSum([Int64(rows.shape[0])])[0])
    guard count > 1 else {
      throw Failure(.badData, "principal components need at least two features, found \(count)", at: "--features")
    }
    let mean = try communicator.meanInRowOrder(of: rows)
    var covariance = Spectrum.gram(rows, less: mean)
    try communicator.allReduceSum(&covariance, covariance.count)
    for place in covariance.indices { covariance[place] /= Double(count - 1) }
    let total = (0..<width).reduce(0.0) { $0 + covariance[$1 * width + $1] }
    // One rank decides: other processors may round otherwise, and the others need not compute the same.
    var spectrum = [Double](repeating: 0, count: components * (width + 1))
    if communicator.isCoordinator {
      let (values, vectors) = Spectrum.symmetricEigenvectors(covariance, side: width)
      for component in 0..<components {
        let place = width - 1 - component  // LAPACK's order is ascending
        spectrum[component] = max(0, values[place])
        let vector = signed(vectors[place * width..<(place + 1) * width])
        spectrum.replaceSubrange(components + component * width..<components + (component + 1) * width, with: vector)
      }
    }
    try communicator.broadcast(&spectrum, bytes: spectrum.count * MemoryLayout<Double>.size)
    let variances = Array(spectrum.prefix(components))
    return PCA(
      mean: Tensor(mean.map(Float.init), [width]),
      components: Tensor(spectrum.dropFirst(components).map(Float.init), [components, width]),
      explainedVariance: variances, explainedRatio: variances.map { total > 0 ? $0 / total : 0 })
  }

  /// Where features lie along the components. Local.
  ///
  /// - Shapes: rows [n, D] -> [n, k]
  public func project(_ rows: Tensor) -> Tensor {
    precondition(rows.shape.rank == 2 && rows.shape[1] == mean.count, "PCA.project: \(rows.shape)")
    let result = Tensor(uninitialized: [rows.shape[0], components.shape[0]])
    let (width, means) = (mean.count, mean.pointer)
    for start in stride(from: 0, to: rows.shape[0], by: PCA.tile) {
      let range = start..<min(start + PCA.tile, rows.shape[0])
      let centred = rows.rows(range).copy()
      let values = centred.pointer
      for row in 0..<range.count { for d in 0..<width { values[row * width + d] -= means[d] } }
      Matmul.forward(centred, components, into: result.rows(range))
    }
    return result
  }

  /// A direction with its largest entry positive; of equal ones the first counts.
  private static func signed(_ vector: ArraySlice<Double>) -> [Double] {
    let largest = vector.reduce(0.0) { abs($1) > abs($0) ? $1 : $0 }
    return vector.map { largest < 0 ? -$0 : $0 }
  }
}
