import Images

/// What an image of `TinyShapes` shows, before there are pixels.
struct ShapeScene {
  let size: Int
  /// Red, green, blue of the ground, 0 ... 1.
  var ground: [Double]
  /// What the gradient adds to the ground from the middle to the right and the lower edge.
  var slopes: (x: Double, y: Double) = (0, 0)
  /// Rectangles on the ground that belong to no object.
  var clutter: [(box: CropBox, colour: [Double])] = []
  /// The shapes, each in front of those before it.
  var shapes: [PlacedShape]
  /// The width of the lines when shapes are drawn as outlines; nil when they are filled.
  var outline: Int?

  func picture() -> Pixels {
    var bytes = [UInt8](repeating: 0, count: 3 * size * size)
    for y in 0..<size {
      for x in 0..<size {
        let shape = shapes.last { isDrawn($0, x, y) }
        let patch = shape == nil ? clutter.last { $0.box.holds(x, y) } : nil
        let colour = shape?.colour ?? patch?.colour ?? ground
        let shade = shape == nil && patch == nil ? gradient(x, y) : 0
        for c in 0..<3 {
          bytes[3 * (y * size + x) + c] = UInt8(min(max((colour[c] + shade) * 255, 0), 255).rounded())
        }
      }
    }
    return Pixels(width: size, height: size, bytes: bytes)
  }

  func mask() -> LabelMask {
    var classes = [UInt8](repeating: 0, count: size * size)
    for y in 0..<size {
      for x in 0..<size { classes[y * size + x] = shapes.last { $0.covers(x, y) }?.maskNumber ?? 0 }
    }
    return LabelMask(width: size, height: size, classes: classes)
  }

  /// What the gradient adds to the ground, 0 in the middle of the image.
  private func gradient(_ x: Int, _ y: Int) -> Double {
    (slopes.x * Double(2 * x + 1 - size) + slopes.y * Double(2 * y + 1 - size)) / Double(size)
  }

  private func isDrawn(_ shape: PlacedShape, _ x: Int, _ y: Int) -> Bool {
    guard shape.covers(x, y) else { return false }
    guard let outline else { return true }
    return (-outline...outline).contains { dy in
      (-outline...outline).contains { dx in abs(dx) + abs(dy) <= outline && !shape.covers(x + dx, y + dy) }
    }
  }
}

/// One shape in its place; it may reach over the edge of the image.
struct PlacedShape {
  /// Which of the ten.
  let kind: Int
  let side: Int
  let left: Int
  let top: Int
  var colour: [Double]
  /// What the mask says where the shape is.
  let maskNumber: UInt8

  var box: CropBox { CropBox(left: left, top: top, width: side, height: side) }

  /// Whether the middle of a pixel lies on the shape; (u, v) are doubled coordinates from the shape's middle.
  func covers(_ x: Int, _ y: Int) -> Bool {
    let column = x - left
    let row = y - top
    guard (0..<side).contains(column), (0..<side).contains(row) else { return false }
    let u = abs(2 * column + 1 - side)
    let v = abs(2 * row + 1 - side)
    switch kind {
    case 0: return u * u + v * v <= side * side
    case 1: return u * u + v * v <= side * side && 4 * (u * u + v * v) > side * side
    case 2: return true
    case 3: return 2 * max(u, v) > side
    case 4: return u <= row
    case 5: return 3 * u <= side || 3 * v <= side
    case 6: return 10 * abs(u - v) <= 3 * side
    case 7: return 5 * row / side % 2 == 0
    case 8: return 5 * column / side % 2 == 0
    default: return (4 * row / side + 4 * column / side) % 2 == 0
    }
  }
}

/// The brightness of a colour (Rec. 601).
func luma(_ colour: [Double]) -> Double { 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] }

extension CropBox {
  /// Whether a pixel lies inside.
  func holds(_ x: Int, _ y: Int) -> Bool {
    (left..<(left + width)).contains(x) && (top..<(top + height)).contains(y)
  }

  /// Whether two rectangles share a pixel.
  func meets(_ other: CropBox) -> Bool {
    left < other.left + other.width && other.left < left + width && top < other.top + other.height
      && other.top < top + height
  }
}
