import Images

/// The objects of one mask and which pixel belongs to which.
struct ObjectRegions {
  /// What one object is.
  enum Unit: String, CaseIterable {
    /// All pixels of one class.
    case category
    /// Pixels of one class that hang together, also over corners.
    case instance
  }

  struct Object: Equatable {
    /// Its number in `numbers`.
    let number: Int32
    let category: UInt8
    let pixels: Int
  }

  /// For each pixel the number of its object, or a number that is no object; -1 where the mask says ignore.
  let numbers: [Int32]
  /// In the order of their numbers.
  let objects: [Object]

  /// - Parameter background: the class that is no object; nil when every class is one.
  init(_ mask: LabelMask, unit: Unit, background: UInt8?) {
    switch unit {
    case .category:
      numbers = mask.classes.map { $0 == LabelMask.ignored ? -1 : Int32($0) }
    case .instance:
      numbers = Self.components(mask, background: background)
    }
    var found: [Int32: (category: UInt8, pixels: Int)] = [:]
    for (number, category) in zip(numbers, mask.classes) where number >= 0 && category != background {
      found[number, default: (category, 0)].pixels += 1
    }
    objects = found.sorted { $0.key < $1.key }.map {
      Object(number: $0.key, category: $0.value.category, pixels: $0.value.pixels)
    }
  }

  /// Numbers from 1 in the raster order of first pixels; 0 on the background.
  private static func components(_ mask: LabelMask, background: UInt8?) -> [Int32] {
    let (width, height) = (mask.width, mask.height)
    var numbers = mask.classes.map { $0 == background ? 0 : Int32(-1) }
    var last: Int32 = 0
    for start in numbers.indices where numbers[start] < 0 && mask.classes[start] != LabelMask.ignored {
      last += 1
      numbers[start] = last
      var open = [start]
      while let pixel = open.popLast() {
        let (y, x) = pixel.quotientAndRemainder(dividingBy: width)
        for row in max(y - 1, 0)...min(y + 1, height - 1) {
          for column in max(x - 1, 0)...min(x + 1, width - 1) {
            let next = row * width + column
            guard numbers[next] < 0, mask.classes[next] == mask.classes[start] else { continue }
            numbers[next] = last
            open.append(next)
          }
        }
      }
    }
    return numbers
  }
}
