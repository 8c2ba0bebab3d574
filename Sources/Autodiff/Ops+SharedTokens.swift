import Basics
import Tensors

// B images, N tokens of each, M of them its own, P tokens that all images share, D width.

/// Which tokens stand where in every image: its own, each exactly once, and tokens that all images share.
public struct TokenPlaces: Sendable {
  let images, own, shared, tokens: Int
  private let sources: [Int32]

  /// - Parameter sources: [B N], below M the image's own token of this number, M + p the shared token p.
  public init(_ sources: [Int32], images: Int, own: Int, shared: Int) {
    precondition(
      images > 0 && sources.count % images == 0, "TokenPlaces: \(sources.count) sources for \(images) images")
    (self.images, self.own, self.shared, tokens) = (images, own, shared, sources.count / images)
    self.sources = sources
    var uses = [Int](repeating: 0, count: images * own)
    for (place, source) in sources.enumerated() {
      precondition((0..<own + shared).contains(Int(source)), "TokenPlaces: source \(source) of \(own) + \(shared)")
      if source < own { uses[place / tokens * own + Int(source)] += 1 }
    }
    precondition(uses.allSatisfy { $0 == 1 }, "TokenPlaces: an own token stands nowhere or twice")
  }

  func check(_ own: Tensor, _ shared: Tensor, _ op: String) {
    let width = own.shape.lastAxis
    precondition(
      own.shape == [images, self.own, width] && shared.shape == [self.shared, width],
      "\(op): own \(own.shape), shared \(shared.shape) for \(images) images of \(self.own) + \(self.shared) tokens")
  }

  /// Puts the rows of some images in their places, on the calling thread.
  ///
  /// - Shapes: own [B, M, D], shared [P, D] -> y [n, N, D]
  func spread(_ own: Tensor, _ shared: Tensor, of part: Range<Int>, into y: Tensor) {
    let width = y.shape.lastAxis
    var row = y.pointer
    for image in part {
      for source in sources[image * tokens..<(image + 1) * tokens].lazy.map(Int.init) {
        let from =
          source < self.own
          ? own.pointer + (image * self.own + source) * width
          : shared.pointer + (source - self.own) * width
        row.update(from: from, count: width)
        row += width
      }
    }
  }

  /// Takes the rows of some images back from their places, on the calling thread; those of shared tokens are added up.
  ///
  /// - Shapes: dy [n, N, D] -> own [B, M, D], sums [P, D]
  func collect(_ dy: Tensor, of part: Range<Int>, into own: Tensor, addingTo sums: UnsafeMutablePointer<Float>) {
    let width = dy.shape.lastAxis
    var row = UnsafePointer(dy.pointer)
    for image in part {
      for source in sources[image * tokens..<(image + 1) * tokens].lazy.map(Int.init) {
        if source < self.own {
          (own.pointer + (image * self.own + source) * width).update(from: row, count: width)
        } else {
          Kernels.addColumnSums(of: row, rows: 1, width: width, to: sums + (source - self.own) * width)
        }
        row += width
      }
    }
  }
}

/// The tokens of every image in their places.
///
/// - Shapes: own [B, M, D], shared [P, D] -> [B, N, D]
/// - Gradient: to both; a shared token gets the sum over all places where it stands.
public func placeTokens(own: Variable, shared: Variable, _ places: TokenPlaces) -> Variable {
  places.check(own.value, shared.value, "placeTokens")
  let (shapes, y) = ((own.shape, shared.shape), Tensor(uninitialized: [places.images, places.tokens, own.shape[2]]))
  OpClock.measure(.elementwise, work: 2 * y.count) {
    Team.split(places.images) { part in places.spread(own.value, shared.value, of: part, into: y.rows(part)) }
  }
  return record(y, from: [own, shared], as: .elementwise) { dy in
    OpClock.count(.elementwise, work: 2 * dy.count)
    let (dOwn, dShared) = (Tensor(uninitialized: shapes.0), Tensor(zeros: shapes.1))
    Team.splitSumming(places.images, into: [dShared]) { part, sums in
      places.collect(dy.rows(part), of: part, into: dOwn, addingTo: sums[0])
    }
    return [dOwn, dShared]
  }
}

/// Every token of an image but the first plus the position of its patch.
///
/// - Shapes: x [B, 1 + k, D], positions [L, D], indices [B k] in 0 ..< L -> [B, 1 + k, D]
/// - Gradient: to x.
public func addPositions(_ x: Variable, _ positions: Tensor, indices: [Int32]) -> Variable {
  let (images, tokens, width) = (x.shape[0], x.shape[1], x.shape[2])
  precondition(
    indices.count == images * (tokens - 1) && positions.shape.lastAxis == width
      && indices.allSatisfy { $0 >= 0 && Int($0) < positions.shape[0] },
    "addPositions: x \(x.shape), \(indices.count) indices, positions \(positions.shape)")
  let (input, y) = (x.value, Tensor(uninitialized: x.shape))
  OpClock.measure(.elementwise, work: 2 * y.count) {
    Team.split(images) { part in
      for row in part.lowerBound * tokens..<part.upperBound * tokens {
        let (from, to) = (input.pointer + row * width, y.pointer + row * width)
        let (image, token) = (row / tokens, row % tokens)
        if token == 0 {
          to.update(from: from, count: width)
        } else {
          let index = Int(indices[image * (tokens - 1) + token - 1])
          Kernels.addRow(from, positions.pointer + index * width, into: to, width: width)
        }
      }
    }
  }
  return record(y, from: [x], as: .elementwise) { dy in [dy] }
}

/// One learnt token at every position.
///
/// - Shapes: token [1, 1, D], positions [L, D] -> [L, D]
/// - Gradient: to the token.
public func addPositions(token: Parameter, _ positions: Tensor) -> Variable {
  let width = positions.shape.lastAxis
  precondition(token.shape.count == width, "addPositions: token \(token.shape), positions \(positions.shape)")
  let (row, y) = (token.value, Tensor(uninitialized: positions.shape))
  OpClock.measure(.elementwise) {
    for place in 0..<positions.shape.leading {
      Kernels.addRow(
        row.pointer, positions.pointer + place * width, into: y.pointer + place * width, width: width)
    }
  }
  return record(y, from: [], using: [token], as: .elementwise) { dy in
    Kernels.addColumnSums(of: dy, to: token.gradient.reshaped([width]))
    return []
  }
}
