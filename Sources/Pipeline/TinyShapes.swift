import Basics
import Images

/// A generated dataset of ten shapes on coloured grounds, with exact masks: nothing to download, a true answer for
/// every pixel.
///
/// Every image follows from (seed, split, index) through the counter-based generator and integer geometry alone.
/// Image i has class i mod 10. `hardness` h mixes two regimes: at 0 a bright shape (channels in 0.6 ... 1) of 40-70 %
/// of the side on a dark even ground (0 ... 0.4); at 1 any two colours whose luma differs by at least 0.25, 20-60 %
/// of the side, on a ground with a gradient. Bounds in between are interpolated.
///
/// The draws of an image, in order: shape side, left, top; then red, green, blue of the shape and of the ground,
/// repeated until the luma difference (Rec. 601) is at least 0.25; then the gradient's two slopes.
/// - Source: spec/evaluation.md section 2.
public struct TinyShapes: Sendable {
  /// The classes, by label.
  public static let classNames = [
    "0-disk", "1-ring", "2-square", "3-frame", "4-triangle", "5-cross", "6-x", "7-hbars", "8-vbars", "9-checker",
  ]
  /// Images.
  public let count: Int
  /// The side of an image.
  public let size: Int
  /// The seed of all images.
  public let seed: UInt64
  /// From 0, easy, to 1.
  public let hardness: Double
  /// `train` or `val`: disjoint images of one kind.
  public let split: Split

  /// The parts of the dataset.
  public enum Split: String, CaseIterable, Sendable {
    case train, val
  }

  static let parameterNames = ["n", "size", "seed", "hardness", "split"]

  /// Makes a dataset.
  public init(count: Int, size: Int = 32, seed: UInt64 = 0, hardness: Double = 0.3, split: Split = .train) {
    precondition(
      count > 0 && (8...4096).contains(size) && (0...1).contains(hardness),
      "TinyShapes: count \(count), size \(size), hardness \(hardness)")
    self.count = count
    self.size = size
    self.seed = seed
    self.hardness = hardness
    self.split = split
  }

  /// Reads `synth:tinyshapes?...`.
  init(_ address: DataAddress) throws(Failure) {
    guard address.path == "tinyshapes" else {
      throw .unknownName(address.path, kind: "generated dataset", valid: ["tinyshapes"], place: address.text)
    }
    func value<T>(
      _ key: String, _ fallback: T, _ allowed: String, _ read: (String) -> T?
    ) throws(Failure) -> T {
      guard let text = address.parameters[key] else { return fallback }
      guard let value = read(text) else {
        throw Failure(.badConfig, "\(key)=\(text) is not valid", at: address.text, hint: "\(key) is \(allowed)")
      }
      return value
    }
    let valid = Split.allCases.map(\.rawValue).joined(separator: ", ")
    let split = try value("split", Split.train, "one of \(valid)") { Split(rawValue: $0) }
    self.init(
      count: try value("n", split == .train ? 2000 : 500, "a whole number from 1 to 2147483647") {
        Int32($0).flatMap { $0 > 0 ? Int($0) : nil }
      },
      size: try value("size", 32, "a whole number from 8 to 4096") {
        Int($0).flatMap { (8...4096).contains($0) ? $0 : nil }
      },
      seed: try value("seed", 0, "a whole number from 0") { UInt64($0) },
      hardness: try value("hardness", 0.3, "a number from 0 to 1") {
        Double($0).flatMap { (0...1).contains($0) ? $0 : nil }
      },
      split: split)
  }

  /// The address with every parameter spelled out.
  public var canonicalAddress: String {
    "synth:tinyshapes?n=\(count)&size=\(size)&seed=\(seed)&hardness=\(hardness)&split=\(split.rawValue)"
  }

  /// The class of image `i`.
  public func label(_ i: Int) -> Int32 { Int32(i % Self.classNames.count) }

  /// A file name for image `i`.
  public func name(_ i: Int) -> String {
    let digits = String(i)
    let padded = String(repeating: "0", count: max(0, 6 - digits.count)) + digits
    return "\(Self.classNames[Int(label(i))])/\(split.rawValue)-\(padded).jpg"
  }

  /// Image `i` as a JPEG file (quality 95, full colour resolution).
  public func bytes(_ i: Int) -> [UInt8] { JPEG.encode(picture(i), quality: 95) }

  /// The exact mask of image `i`: 0 on the ground, 1 + class on the shape.
  public func mask(_ i: Int) -> GreyPixels {
    let drawing = Drawing(self, i)
    var bytes = [UInt8](repeating: 0, count: size * size)
    for y in 0..<size {
      for x in 0..<size where drawing.covers(x, y) { bytes[y * size + x] = UInt8(label(i)) + 1 }
    }
    return GreyPixels(width: size, height: size, bytes: bytes)
  }

  /// Image `i` before encoding.
  public func picture(_ i: Int) -> Pixels {
    let drawing = Drawing(self, i)
    var bytes = [UInt8](repeating: 0, count: 3 * size * size)
    for y in 0..<size {
      for x in 0..<size {
        let shade = drawing.covers(x, y) ? 0 : drawing.gradient(x, y)
        let colour = drawing.covers(x, y) ? drawing.shape : drawing.ground
        for c in 0..<3 {
          bytes[3 * (y * size + x) + c] = UInt8(min(max((colour[c] + shade) * 255, 0), 255).rounded())
        }
      }
    }
    return Pixels(width: size, height: size, bytes: bytes)
  }
}

/// Everything that is random about one image.
private struct Drawing {
  let label: Int
  let size: Int
  let side: Int
  let left: Int
  let top: Int
  var shape: [Double] = []
  var ground: [Double] = []
  let slopes: (x: Double, y: Double)

  init(_ set: TinyShapes, _ i: Int) {
    let splitNumber = TinyShapes.Split.allCases.firstIndex(of: set.split) ?? 0
    var random = RandomStream(seed: set.seed, purpose: .synthetic, epoch: splitNumber, index: i)
    let h = set.hardness
    label = Int(set.label(i))
    size = set.size
    let share = random.uniform((0.4 - 0.2 * h)..<(0.7 - 0.1 * h))
    side = max(5, Int((share * Double(set.size)).rounded()))
    left = random.integer(below: set.size - side + 1)
    top = random.integer(below: set.size - side + 1)
    repeat {
      shape = (0..<3).map { _ in random.uniform((0.6 - 0.6 * h)..<1) }
      ground = (0..<3).map { _ in random.uniform(0..<(0.4 + 0.6 * h)) }
    } while abs(Self.luma(shape) - Self.luma(ground)) < 0.25
    slopes = (0.2 * h * random.uniform(-1..<1), 0.2 * h * random.uniform(-1..<1))
  }

  static func luma(_ colour: [Double]) -> Double { 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] }

  /// What the gradient adds to the ground, 0 in the middle of the image.
  func gradient(_ x: Int, _ y: Int) -> Double {
    (slopes.x * Double(2 * x + 1 - size) + slopes.y * Double(2 * y + 1 - size)) / Double(size)
  }

  /// Whether the centre of a pixel lies on the shape; (u, v) are doubled coordinates from the shape's middle.
  func covers(_ x: Int, _ y: Int) -> Bool {
    let column = x - left
    let row = y - top
    guard (0..<side).contains(column), (0..<side).contains(row) else { return false }
    let u = abs(2 * column + 1 - side)
    let v = abs(2 * row + 1 - side)
    switch label {
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
