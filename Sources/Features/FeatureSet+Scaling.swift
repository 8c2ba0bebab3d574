import Basics
import Messaging
import Tensors

extension FeatureSet {
  /// The same images with other features.
  ///
  /// - Shapes: rows [range.count, itemShape...]
  public func replacing(_ rows: Tensor) -> FeatureSet {
    FeatureSet(rows: rows, range: range, labels: labels, indices: indices, classNames: classNames, origin: origin)
  }

  /// Every vector of the last axis divided by max(norm, 1e-12).
  public func normalised() -> FeatureSet { replacing(FeatureSet.normalised(rows)) }

  /// Every vector of the last axis, scaled dimension by dimension.
  public func standardised(by scaling: Standardisation) -> FeatureSet { replacing(scaling.applied(to: rows)) }

  /// - Shapes: x [..., D] -> [..., D]
  static func normalised(_ x: Tensor) -> Tensor {
    let width = x.shape.lastAxis
    let y = Tensor(uninitialized: x.shape)
    Team.split(x.shape.leading) { range in
      for row in range {
        let (source, target) = (x.pointer + row * width, y.pointer + row * width)
        var squares = 0.0
        for d in 0..<width { squares += Double(source[d]) * Double(source[d]) }
        let scale = Float(1 / max(squares.squareRoot(), 1e-12))
        for d in 0..<width { target[d] = source[d] * scale }
      }
    }
    return y
  }

  /// Refuses features that are infinite or not a number.
  ///
  /// - Throws: non-finite, with the number of the first such image.
  /// - Collective: all ranks.
  public func requireNumbers(_ communicator: Communicator) throws(Failure) {
    try communicator.agreed { () throws(Failure) in
      guard let row = rows.firstNonFiniteRow else { return }
      throw Failure(
        .nonFinite, "the feature of image \(indices[range.lowerBound + row]) is not a number", at: place,
        hint: "the run diverged or the file is damaged: look at the run's metrics, or make the features anew")
    }
  }

  /// What a message names when something is wrong with the features.
  public var place: String {
    let parts = [origin.data, origin.feature].filter { !$0.isEmpty }
    return parts.isEmpty ? "--features" : parts.joined(separator: ", feature ")
  }
}

/// Mean and deviation of every dimension over a set of features.
///
/// The sums run in the order of the images over all ranks, so that any number of ranks finds the same bits.
/// - Source: MAE-CT's monitor; spec/evaluation.md E1, `standardise`: unbiased deviation + 1e-5.
public struct Standardisation: Sendable {
  /// The means, [D].
  public let mean: [Double]
  /// What the centred features are divided by, [D].
  public let deviation: [Double]

  /// Looks at every vector of the last axis.
  ///
  /// - Throws: what the MPI library reported.
  /// - Collective: all ranks.
  public init(_ set: FeatureSet, _ communicator: Communicator) throws(Failure) {
    let rows = set.rows
    let mean = try communicator.meanInRowOrder(of: rows)  // [D]
    let (width, values) = (rows.shape.lastAxis, rows.pointer)
    let squares = try communicator.inRankOrder([Double](repeating: 0, count: width + 1)) { sums in
      for row in 0..<rows.shape.leading {
        for d in 0..<width {
          let difference = Double(values[row * width + d]) - mean[d]
          sums[d] += difference * difference
        }
      }
      sums[width] += Double(rows.shape.leading)
    }
    self.mean = mean
    deviation = squares.dropLast().map { ($0 / max(squares[width] - 1, 1)).squareRoot() + 1e-5 }
  }

  /// - Shapes: x [..., D] -> [..., D]
  public func applied(to x: Tensor) -> Tensor {
    let width = x.shape.lastAxis
    precondition(width == mean.count, "Standardisation: features \(x.shape) for \(mean.count) dimensions")
    let y = Tensor(uninitialized: x.shape)
    Team.split(x.shape.leading) { range in
      for row in range {
        let (source, target) = (x.pointer + row * width, y.pointer + row * width)
        for d in 0..<width { target[d] = Float((Double(source[d]) - mean[d]) / deviation[d]) }
      }
    }
    return y
  }
}

extension Communicator {
  /// Hands values from rank to rank: each adds what it has, and all get the result.
  ///
  /// The ranks wait for each other, which a sum over rows can afford, and the bits of a sum in row order do not depend
  /// on where the rows are cut.
  /// - Collective: all ranks, with as many values.
  func inRankOrder(_ start: [Double], _ add: (inout [Double]) -> Void) throws(Failure) -> [Double] {
    var values = start
    for turn in 0..<size {
      if turn == rank { add(&values) }
      try broadcast(&values, bytes: values.count * MemoryLayout<Double>.size, from: turn)
    }
    return values
  }

  /// The mean of the rows of all ranks, summed in their order.
  ///
  /// - Shapes: rows [..., D] -> D values
  /// - Collective: all ranks.
  func meanInRowOrder(of rows: Tensor) throws(Failure) -> [Double] {
    let (width, values) = (rows.shape.lastAxis, rows.pointer)
    let sums = try inRankOrder([Double](repeating: 0, count: width + 1)) { sums in
      for row in 0..<rows.shape.leading {
        for d in 0..<width { sums[d] += Double(values[row * width + d]) }
      }
      sums[width] += Double(rows.shape.leading)
    }
    return sums.dropLast().map { $0 / max(sums[width], 1) }
  }
}
