import Images

/// What the patches of an image show: the label of most of their pixels.
///
/// - Source: spec/evaluation.md E8: majority pixel label, of equal ones the lower.
struct PatchLabels: Equatable, Sendable {
  /// Stands for a patch of which no pixel has a label.
  static let none: Int32 = -1
  /// The label of each patch in raster order, [grid * grid].
  let labels: [Int32]
  /// The share of each patch's pixels, ignored ones counted, that have its label, [grid * grid].
  let shares: [Double]

  /// The labels of a mask; ignored pixels have no vote.
  ///
  /// - Shapes: mask [S, S], S a multiple of `grid`.
  init(_ mask: LabelMask, grid: Int) {
    precondition(mask.width == mask.height, "PatchLabels: a mask of \(mask.width)x\(mask.height)")
    self.init(mask.classes.map { $0 == LabelMask.ignored ? Self.none : Int32($0) }, size: mask.width, grid: grid)
  }

  /// The labels of a square of numbers, in which a negative one has no vote.
  ///
  /// - Shapes: numbers [size, size], size a multiple of `grid`.
  init(_ numbers: [Int32], size: Int, grid: Int) {
    precondition(
      grid > 0 && size % grid == 0 && numbers.count == size * size,
      "PatchLabels: \(numbers.count) numbers of \(size)x\(size) in \(grid)x\(grid) patches")
    let side = size / grid
    var labels = [Int32](repeating: Self.none, count: grid * grid)
    var shares = [Double](repeating: 0, count: grid * grid)
    var votes = [Int](repeating: 0, count: Int(numbers.max() ?? 0) + 2)
    for patch in 0..<(grid * grid) {
      let corner = patch / grid * side * size + patch % grid * side
      var met: Set<Int32> = []
      for y in 0..<side {
        for number in numbers[(corner + y * size)..<(corner + y * size + side)] where number >= 0 {
          if votes[Int(number)] == 0 { met.insert(number) }
          votes[Int(number)] += 1
        }
      }
      if let winner = met.min(by: { (votes[Int($1)], $0) < (votes[Int($0)], $1) }) {
        labels[patch] = winner
        shares[patch] = Double(votes[Int(winner)]) / Double(side * side)
      }
      for number in met { votes[Int(number)] = 0 }
    }
    self.labels = labels
    self.shares = shares
  }
}
