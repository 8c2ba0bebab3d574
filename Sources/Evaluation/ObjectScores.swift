/// Pixels that a selection and an object have in common, and pixels of either; both without ignored ones.
struct PixelOverlap: Equatable {
  var common: Int
  var either: Int

  /// Intersection over union.
  var share: Double { Double(common) / Double(either) }
}

/// Similarities of the patches of an image to a prompt, as pixels.
struct SimilarityMap {
  /// How patches become pixels.
  enum Upsampling: String, CaseIterable {
    /// Between the middles of patches; from the outer middles to the edge as at those.
    case bilinear
    /// Every pixel as its patch.
    case nearest
  }

  let size: Int
  /// Row by row, [size * size].
  let values: [Double]

  /// - Shapes: patches [grid * grid].
  init(_ patches: [Double], grid: Int, size: Int, _ upsampling: Upsampling) {
    self.size = size
    let side = size / grid
    guard upsampling == .bilinear else {
      values = (0..<(size * size)).map { patches[$0 / size / side * grid + $0 % size / side] }
      return
    }
    // Where each pixel of a line lies between the patches before and behind it.
    let places = (0..<size).map { pixel in
      let place = max((Double(pixel) + 0.5) / Double(side) - 0.5, 0)
      let first = min(Int(place), grid - 1)
      return (first: first, second: min(first + 1, grid - 1), weight: place - Double(first))
    }
    var values: [Double] = []
    values.reserveCapacity(size * size)
    for row in places {
      let line = (0..<grid).map {
        patches[row.first * grid + $0] * (1 - row.weight) + patches[row.second * grid + $0] * row.weight
      }
      for column in places {
        values.append(line[column.first] * (1 - column.weight) + line[column.second] * column.weight)
      }
    }
    self.values = values
  }

  /// How the pixels above each threshold cover the pixels of a number. Negative numbers are ignored pixels.
  ///
  /// - Parameter thresholds: ascending.
  /// - Shapes: numbers [size * size].
  func overlaps(_ number: Int32, in numbers: [Int32], above thresholds: [Double]) -> [PixelOverlap] {
    // How many pixels exceed exactly so many thresholds: of the object, and of all.
    var inside = [Int](repeating: 0, count: thresholds.count + 1)
    var all = inside
    for pixel in numbers.indices where numbers[pixel] >= 0 {
      var level = 0
      while level < thresholds.count, values[pixel] > thresholds[level] { level += 1 }
      all[level] += 1
      if numbers[pixel] == number { inside[level] += 1 }
    }
    let pixels = inside.reduce(0, +)
    return thresholds.indices.map { t in
      let common = inside[(t + 1)...].reduce(0, +)
      return PixelOverlap(common: common, either: pixels + all[(t + 1)...].reduce(0, +) - common)
    }
  }
}

/// What was measured at one object.
struct ObjectScore: Equatable {
  let category: Int
  let pixels: Int
  /// Pixels of the image that are not ignored.
  let known: Int
  /// What the object's own patches reach.
  let ceiling: PixelOverlap
  /// For each threshold.
  let overlaps: [PixelOverlap]

  /// What the whole image reaches.
  var everything: PixelOverlap { PixelOverlap(common: pixels, either: known) }
}

/// The objects of some images, and those that were passed over.
struct ObjectOutcome: Equatable {
  private(set) var thresholds: Int
  var scores: [ObjectScore] = []
  var tooSmall = 0
  var withoutPatch = 0

  init(thresholds: Int) { self.thresholds = thresholds }

  /// The mean share over objects in percent.
  func mean(_ overlaps: [PixelOverlap]) -> Double {
    100 * overlaps.reduce(0) { $0 + $1.share } / Double(overlaps.count)
  }

  /// The mean over classes of the mean over their objects, in percent.
  func classMean(_ overlaps: [PixelOverlap]) -> Double {
    let classes = Dictionary(grouping: overlaps.indices) { scores[$0].category }
    let means = classes.keys.sorted().map { category in mean((classes[category] ?? []).map { overlaps[$0] }) }
    return means.reduce(0, +) / Double(means.count)
  }

  /// Everything as bytes, which other ranks understand.
  var encoded: [UInt8] {
    var numbers = [tooSmall, withoutPatch, scores.count]
    for score in scores {
      numbers += [score.category, score.pixels, score.known]
      for overlap in [score.ceiling] + score.overlaps { numbers += [overlap.common, overlap.either] }
    }
    return numbers.flatMap { withUnsafeBytes(of: Int64($0).littleEndian, Array.init) }
  }

  /// Adds what `encoded` holds: any number of outcomes one after the other.
  mutating func add(encoded: [UInt8]) {
    var place = 0
    func next() -> Int {
      defer { place += 8 }
      return encoded[place..<(place + 8)].reversed().reduce(0) { $0 << 8 | Int($1) }
    }
    func overlap() -> PixelOverlap { PixelOverlap(common: next(), either: next()) }
    while place < encoded.count {
      tooSmall += next()
      withoutPatch += next()
      for _ in 0..<next() {
        scores.append(
          ObjectScore(
            category: next(), pixels: next(), known: next(), ceiling: overlap(),
            overlaps: (0..<thresholds).map { _ in overlap() }))
      }
    }
  }
}
