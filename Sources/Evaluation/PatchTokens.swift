import Basics
import Features
import Images
import Messaging
import Pipeline
import Tensors

/// The patch tokens of one image beside its mask.
struct ImagePatches {
  /// The number of the image in its source.
  let index: Int
  /// Patches along a side.
  let grid: Int
  /// Numbers of a token.
  let width: Int
  let mask: LabelMask
  fileprivate let tokens: UnsafePointer<Float>  // [grid * grid, width]

  /// The tokens of all patches in raster order.
  var vectors: [TokenVector] {
    (0..<(grid * grid)).map { patch in
      TokenVector((0..<width).map { Double(tokens[patch * width + $0]) })
    }
  }
}

/// A token, or a mean of tokens, of which only the direction counts.
struct TokenVector {
  let values: [Double]
  private let square: Double

  init(_ values: [Double]) {
    self.values = values
    square = Self.product(values, values)
  }

  /// The mean of the directions of some vectors.
  init(meanOf vectors: [TokenVector]) {
    var sum = [Double](repeating: 0, count: vectors.first?.values.count ?? 0)
    for vector in vectors where vector.square > 0 {
      let length = vector.square.squareRoot()
      for i in sum.indices { sum[i] += vector.values[i] / length }
    }
    self.init(sum)
  }

  /// The cosine of the angle to another vector: exactly 1 to an equal one, 0 when one of them is 0.
  func cosine(_ other: TokenVector) -> Double {
    let lengths = (square * other.square).squareRoot()
    return lengths > 0 ? min(max(Self.product(values, other.values) / lengths, -1), 1) : 0
  }

  private static func product(_ a: [Double], _ b: [Double]) -> Double {
    var sum = 0.0
    for i in a.indices { sum += a[i] * b[i] }
    return sum
  }
}

/// The patch tokens of a split, each image beside its mask.
struct PatchTokens {
  let set: FeatureSet
  let masks: SplitMasks
  /// Patches along a side.
  let grid: Int

  /// Takes tokens and masks from a context.
  ///
  /// - Throws: bad data when the features are no square of tokens, or when masks cannot be divided like them;
  ///   non-finite when a token is not a number; input missing without masks.
  /// - Collective: all ranks.
  init(_ context: EvaluationContext, _ split: Split) throws(Failure) {
    set = try context.features(split)
    try set.requireNumbers(context.communicator)
    let shape = set.itemShape
    let side = shape.count == 2 ? Int(Double(shape[0]).squareRoot()) : 0
    guard side > 0, side * side == shape[0] else {
      throw Failure(
        .badData, "features of the shape \(shape) are no square of patch tokens", at: set.place,
        hint: "ask for --feature patches")
    }
    grid = side
    masks = try context.masks(split)
    guard masks.size % side == 0 else {
      throw Failure(
        .badData, "masks of \(masks.size) pixels cannot be divided into \(side) x \(side) patches",
        at: set.place, hint: "features and masks must belong to the same data and image size")
    }
  }

  /// Pixels along a side of a patch.
  var patchSize: Int { masks.size / grid }

  /// What `body` makes of each image of this rank, in order, on the thread team.
  ///
  /// - Throws: what `body` and reading a mask throw, on all ranks.
  /// - Collective: all ranks of `communicator`; `body` must not communicate.
  func map<R>(
    _ communicator: Communicator, _ body: (ImagePatches) throws(Failure) -> R
  ) throws(Failure) -> [R] {
    let first = set.range.lowerBound
    let stride = set.width
    let rows = set.rows.pointer
    var results = [Result<R, Failure>?](repeating: nil, count: set.range.count)
    results.withUnsafeMutableBufferPointer { results in
      ThreadTeam.shared.deal(results.count) { range in
        for row in range {
          results[row] = Result { () throws(Failure) in
            let index = Int(set.indices[first + row])
            return try body(
              ImagePatches(
                index: index, grid: grid, width: stride / (grid * grid), mask: try masks.mask(index),
                tokens: rows + row * stride))
          }
        }
      }
    }
    return try communicator.agreed { () throws(Failure) in
      var values: [R] = []
      for result in results { if let result { values.append(try result.get()) } }
      return values
    }
  }
}
