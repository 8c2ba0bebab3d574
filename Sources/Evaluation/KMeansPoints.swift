import Basics
import Features
import Messaging
import Tensors

/// Where the points of a clustering stand when there are several ranks: each of them needs all points.
public enum PointPlacement: String, CaseIterable, Sendable {
  /// Once on every node, in memory that its ranks share.
  case node
  /// Once on every rank.
  case replicated
}

/// The features of all ranks, on every rank, as points of a space.
///
/// Restarts of k-means know nothing of each other, so they are dealt to ranks whole; that is why each rank needs all
/// points. The validation images of ImageNet, 50,000 points of 1024 numbers, are 200 MB.
public struct KMeansPoints: Sendable {
  /// The points, [n, D].
  public let rows: Tensor
  /// The squared length of each point, [n].
  let squaredNorms: [Double]

  /// Points: how many there are.
  public var count: Int { rows.shape[0] }
  /// Numbers of a point.
  public var width: Int { rows.shape[1] }

  /// Points that stand in memory already.
  ///
  /// - Shapes: rows [n, D], n and D above 0.
  public init(_ rows: Tensor) {
    precondition(rows.shape.rank == 2 && rows.count > 0, "KMeansPoints: rows \(rows.shape)")
    self.rows = rows
    let (base, width) = (rows.pointer, rows.shape[1])
    squaredNorms = [Double](unsafeUninitializedCapacity: rows.shape[0]) { norms, filled in
      guard let norm = norms.baseAddress else { return }
      Team.split(norms.count) { range in
        for row in range { (norm + row).initialize(to: squaredLength(base + row * width, width)) }
      }
      filled = norms.count
    }
  }

  /// The features of a set, from all ranks.
  ///
  /// - Parameters:
  ///   - set: one vector an image.
  ///   - isStandardised: whether every dimension gets mean 0 and population deviation 1; one that never changes
  ///     becomes 0.
  ///   - placement: where the points stand.
  /// - Throws: bad data when there are no features or they are no vectors, non-finite when one is not a number,
  ///   `.unavailable` when a node has no memory to share.
  /// - Collective: all ranks.
  /// - Memory: 4 n D bytes for each node, or for each rank.
  public init(
    _ set: FeatureSet, isStandardised: Bool = false, placement: PointPlacement = .node, communicator: Communicator
  ) throws(Failure) {
    try KMeansPoints.check(set, communicator)
    let shared = try SharedRows(count: set.count, width: set.width, placement, communicator)
    try shared.collect(set.rows, communicator)
    if isStandardised { try shared.standardise(communicator) }
    self.init(shared.rows)
  }

  /// The square of a distance that is made from a scalar product and is below this part of the squared lengths has lost
  /// its digits by cancellation: it is to be computed anew.
  static let cancelled = 1.0 / 64

  /// The squared distance of two points, in double and in a fixed order.
  func exactSquaredDistance(_ a: Int, _ b: Int) -> Double {
    let (x, y) = (rows.pointer + a * width, rows.pointer + b * width)
    var sum = 0.0
    for d in 0..<width { sum += (Double(x[d]) - Double(y[d])) * (Double(x[d]) - Double(y[d])) }
    return sum
  }

  private static func check(_ set: FeatureSet, _ communicator: Communicator) throws(Failure) {
    guard set.count > 0, set.itemShape.count == 1, set.width > 0 else {
      throw Failure(
        .badData, "clustering needs one vector an image, there are \(set.count) features of shape \(set.itemShape)",
        at: set.origin.data, hint: "choose another --feature: cls, patchmean, concat")
    }
    precondition(
      set.range == blockRange(count: set.count, part: communicator.rank, of: communicator.size),
      "KMeansPoints: rank \(communicator.rank) has the images \(set.range) of \(set.count)")
    try set.requireNumbers(communicator)
  }
}

/// Rows that all ranks read: one copy on every node, which the ranks of the node write in parts, or one on every rank.
private struct SharedRows {
  /// Rows that travel in one message, so that those who do not keep them need little memory.
  private static let tile = 4096

  let rows: Tensor  // [n, D]
  private let group: NodeGroup?

  init(count: Int, width: Int, _ placement: PointPlacement, _ communicator: Communicator) throws(Failure) {
    guard placement == .node, communicator.size > 1 else {
      rows = Tensor(uninitialized: [count, width])
      group = nil
      return
    }
    let group = try communicator.nodeGroup()
    let block = try communicator.nodeBlock(
      bytes: count * width * MemoryLayout<Float>.size, in: group, remedy: "set placement=replicated")
    let base = block.base.assumingMemoryBound(to: Float.self)
    rows = Tensor(storage: Storage(base, count: count * width, of: block), offset: 0, shape: [count, width])
    self.group = group
  }

  /// Brings together the blocks of all ranks. Collective: all ranks.
  func collect(_ own: Tensor, _ communicator: Communicator) throws(Failure) {
    let (count, width) = (rows.shape[0], rows.shape[1])
    let keeps = group?.isLeader ?? true
    let passing = keeps ? rows : Tensor(uninitialized: [Self.tile, width])
    for root in 0..<communicator.size {
      let block = blockRange(count: count, part: root, of: communicator.size)
      for first in stride(from: block.lowerBound, to: block.upperBound, by: Self.tile) {
        let tile = min(Self.tile, block.upperBound - first)
        let place = passing.rows(keeps ? first..<first + tile : 0..<tile)
        if root == communicator.rank {
          place.assign(own.rows(first - block.lowerBound..<first - block.lowerBound + tile))
        }
        try communicator.broadcast(place.pointer, bytes: place.count * MemoryLayout<Float>.size, from: root)
      }
    }
    try synchronise(communicator)
  }

  /// Collective: all ranks.
  func standardise(_ communicator: Communicator) throws(Failure) {
    let (count, width) = (rows.shape[0], rows.shape[1])
    let moments = ColumnMoments(rows)  // the same on all ranks: each looks at all points
    try synchronise(communicator)
    let own = group.map { blockRange(count: count, part: $0.rank, of: $0.count) } ?? 0..<count
    let base = rows.pointer
    moments.mean.withUnsafeBufferPointer { mean in
      moments.deviation.withUnsafeBufferPointer { deviation in
        Team.split(own.count) { range in
          for row in range {
            let x = base + (own.lowerBound + row) * width
            for d in 0..<width { x[d] = Float((Double(x[d]) - mean[d]) / deviation[d]) }
          }
        }
      }
    }
    try synchronise(communicator)
  }

  private func synchronise(_ communicator: Communicator) throws(Failure) {
    if let group { try communicator.synchronise(group) }
  }
}

/// Mean and population deviation of every column; a column that never changes has deviation 1.
struct ColumnMoments {
  let mean: [Double]
  let deviation: [Double]

  /// - Shapes: rows [n, D]
  init(_ rows: Tensor) {
    let (count, width) = (rows.shape[0], rows.shape[1])
    var sums = [Double](repeating: 0, count: width)
    var squares = sums
    let base = rows.pointer
    ColumnMoments.overColumns(&sums) { sums, columns in
      for row in 0..<count {
        let x = base + row * width
        for d in columns { sums[d] += Double(x[d]) }
      }
    }
    let mean = sums.map { $0 / Double(count) }
    mean.withUnsafeBufferPointer { mean in
      ColumnMoments.overColumns(&squares) { squares, columns in
        for row in 0..<count {
          let x = base + row * width
          for d in columns {
            let difference = Double(x[d]) - mean[d]
            squares[d] += difference * difference
          }
        }
      }
    }
    self.mean = mean
    deviation = squares.map { $0 > 0 ? ($0 / Double(count)).squareRoot() : 1 }
  }

  /// Columns pass down the rows in order, whatever the number of threads.
  private static func overColumns(
    _ sums: inout [Double], _ body: (UnsafeMutablePointer<Double>, Range<Int>) -> Void
  ) {
    sums.withUnsafeMutableBufferPointer { sums in
      guard let base = sums.baseAddress else { return }
      Team.split((sums.count + 63) / 64) { blocks in
        body(base, blocks.lowerBound * 64..<min(blocks.upperBound * 64, sums.count))
      }
    }
  }
}

/// The sum of the squares of some floats, in double and in a fixed order.
func squaredLength(_ x: UnsafePointer<Float>, _ count: Int) -> Double {
  var lanes = SIMD8<Double>.zero
  let whole = count & ~7
  for i in stride(from: 0, to: whole, by: 8) {
    let values = SIMD8<Double>(UnsafeRawPointer(x + i).loadUnaligned(as: SIMD8<Float>.self))
    lanes += values * values
  }
  return (whole..<count).reduce(lanes.sum()) { $0 + Double(x[$1]) * Double(x[$1]) }
}

/// The squared distance of a point and a centroid, in double and in a fixed order.
func squaredDistance(_ x: UnsafePointer<Float>, _ c: UnsafePointer<Double>, _ count: Int) -> Double {
  var lanes = SIMD8<Double>.zero
  let whole = count & ~7
  for i in stride(from: 0, to: whole, by: 8) {
    let difference =
      SIMD8<Double>(UnsafeRawPointer(x + i).loadUnaligned(as: SIMD8<Float>.self))
      - UnsafeRawPointer(c + i).loadUnaligned(as: SIMD8<Double>.self)
    lanes += difference * difference
  }
  return (whole..<count).reduce(lanes.sum()) { $0 + (Double(x[$1]) - c[$1]) * (Double(x[$1]) - c[$1]) }
}
