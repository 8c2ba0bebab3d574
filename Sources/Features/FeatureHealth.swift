import Basics
import Glibc
import Messaging
import Tensors

/// Signs of collapse, read off normalised features.
///
/// - Source: spec/evaluation.md E1, in the trainer.
public struct FeatureHealth: Sendable {
  /// The mean over dimensions of the standard deviation of normalised features: 0 when collapsed, about
  /// 1/sqrt(D) when isotropic.
  public let standardDeviation: Double
  /// exp of the entropy of the singular values' shares: how many directions are in use.
  public let effectiveRank: Double
  /// Features that were looked at.
  public let count: Int
  /// Their width.
  public let width: Int

  /// The health of features that this rank has all, for monitors: products are summed in single precision, which
  /// counts a little of the rounding as directions in use. Local.
  ///
  /// - Shapes: features [n, D], flat.
  public init(features: [Float], width: Int) {
    let moments = Moments(Tensor(features, [features.count / max(width, 1), width])) { unit in
      let gram = Tensor(zeros: [width, width])
      Matmul.weightGradient(unit, unit, into: gram)
      return gram.array.map(Double.init)
    }
    self.init(moments)
  }

  /// The health of the features of all ranks, in double.
  ///
  /// - Throws: what the MPI library reported.
  /// - Collective: all ranks.
  public init(_ set: FeatureSet, _ communicator: Communicator) throws(Failure) {
    var moments = Moments(set.rows.reshaped([set.rows.shape.leading, set.rows.shape.lastAxis])) { Spectrum.gram($0) }
    moments.values = try communicator.allReduceSum(moments.values)
    self.init(moments)
  }

  private init(_ moments: Moments) {
    let (width, values) = (moments.width, moments.values)
    (count, self.width) = (moments.count, width)
    let n = Double(max(count, 1))
    let deviations = (0..<width).map { d -> Double in
      let mean = values[1 + d] / n
      return max(0, values[1 + width + d] / n - mean * mean).squareRoot()
    }
    standardDeviation = deviations.reduce(0, +) / Double(max(width, 1))
    let gram = Array(values[(1 + 2 * width)...])
    let singular = Spectrum.symmetricEigenvalues(gram, side: width).map { max(0, $0).squareRoot() }
    let total = singular.reduce(0, +)
    let shares = singular.map { $0 / max(total, 1e-300) }.filter { $0 > 0 }
    effectiveRank = exp(-shares.reduce(0) { $0 + $1 * log($1) })
  }
}

/// What health is made of: sums over normalised rows.
private struct Moments {
  let width: Int
  /// The number of rows, the sums [D], the sums of squares [D], XᵀX [D, D].
  var values: [Double]

  var count: Int { Int(values[0]) }

  /// - Shapes: rows [n, D], normalised here; gram: [n, D] -> [D, D], flat
  init(_ rows: Tensor, gram: (Tensor) -> [Double]) {
    let unit = FeatureSet.normalised(rows)
    let (count, width) = (rows.shape[0], rows.shape[1])
    self.width = width
    var sums = [Double](repeating: 0, count: width)
    var squares = [Double](repeating: 0, count: width)
    for row in 0..<count {
      for d in 0..<width {
        let value = Double(unit.pointer[row * width + d])
        sums[d] += value
        squares[d] += value * value
      }
    }
    values = [Double(count)] + sums + squares + gram(unit)
  }
}
