import Images

/// The patches that together hold most of an attention map.
///
/// - Source: spec/evaluation.md E15, as DINO draws it.
struct MassMask: Equatable {
  /// Whether each patch is kept, [L].
  let kept: [Bool]

  /// Keeps the largest patches until they hold at least `mass` of the whole.
  ///
  /// Sorted from the smallest, a patch is kept where the running sum passes 1 - mass. Of equal patches the later is
  /// taken first.
  /// - Shapes: attention [L], not negative.
  init(_ attention: [Float], mass: Double) {
    let order = attention.indices.sorted { (attention[$0], $0) < (attention[$1], $1) }
    let total = attention.reduce(0.0) { $0 + Double($1) }
    var kept = [Bool](repeating: false, count: attention.count)
    var sum = 0.0
    for patch in order {
      sum += Double(attention[patch])
      kept[patch] = sum > (1 - mass) * total
    }
    self.kept = kept
  }

  /// The kept patches as pixels.
  ///
  /// - Shapes: [L] -> [S, S] with S = g * patch.
  func pixels(grid: Int, patch: Int) -> [Bool] {
    let side = grid * patch
    return (0..<side * side).map { kept[$0 / side / patch * grid + $0 % side / patch] }
  }
}

extension LabelMask {
  /// Pixels of any object: neither ground nor ignored.
  var foreground: [Bool] { classes.map { $0 > 0 && $0 != LabelMask.ignored } }

  /// How well chosen pixels cover the wanted ones: intersection over union of the pixels that are not ignored; nil
  /// when there is neither.
  ///
  /// - Shapes: chosen, wanted [height, width].
  func overlap(_ chosen: [Bool], _ wanted: [Bool]) -> Double? {
    precondition(chosen.count == classes.count && wanted.count == classes.count, "overlap: \(chosen.count) pixels")
    var (both, either) = (0, 0)
    for pixel in classes.indices where classes[pixel] != LabelMask.ignored {
      if chosen[pixel] && wanted[pixel] { both += 1 }
      if chosen[pixel] || wanted[pixel] { either += 1 }
    }
    return either > 0 ? Double(both) / Double(either) : nil
  }
}
