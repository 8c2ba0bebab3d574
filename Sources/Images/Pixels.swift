import Basics

/// A picture in memory: RGB, 8 bits a channel, interleaved, rows from the top.
///
/// - Shapes: bytes [height, width, 3].
public struct Pixels: Equatable, Sendable {
  /// Columns.
  public let width: Int
  /// Rows.
  public let height: Int
  /// The channels of all pixels, row by row.
  public var bytes: [UInt8]

  /// Wraps bytes as a picture.
  public init(width: Int, height: Int, bytes: [UInt8]) {
    precondition(
      width > 0 && height > 0 && bytes.count == 3 * width * height,
      "Pixels: \(width)x\(height) needs \(3 * width * height) bytes, got \(bytes.count)")
    self.width = width
    self.height = height
    self.bytes = bytes
  }

  /// A picture of one colour.
  public init(width: Int, height: Int, red: UInt8 = 0, green: UInt8 = 0, blue: UInt8 = 0) {
    var bytes = [UInt8](repeating: red, count: 3 * width * height)
    for i in stride(from: 0, to: bytes.count, by: 3) {
      bytes[i + 1] = green
      bytes[i + 2] = blue
    }
    self.init(width: width, height: height, bytes: bytes)
  }

  /// The part inside `box`, which must lie within the picture.
  public func cropped(to box: CropBox) -> Pixels {
    precondition(box.fits(width: width, height: height), "Pixels.cropped: \(box) in \(width)x\(height)")
    var out: [UInt8] = []
    out.reserveCapacity(3 * box.width * box.height)
    for y in box.top..<(box.top + box.height) {
      let start = 3 * (y * width + box.left)
      out += bytes[start..<(start + 3 * box.width)]
    }
    return Pixels(width: box.width, height: box.height, bytes: out)
  }

  /// The picture mirrored left to right.
  public func flipped() -> Pixels {
    var out = bytes
    for y in 0..<height {
      for x in 0..<width {
        let from = 3 * (y * width + x)
        let to = 3 * (y * width + width - 1 - x)
        for c in 0..<3 { out[to + c] = bytes[from + c] }
      }
    }
    return Pixels(width: width, height: height, bytes: out)
  }
}

/// A picture of one channel: a mask of labels or a grey image.
///
/// - Shapes: bytes [height, width].
public struct GreyPixels: Equatable, Sendable {
  /// Columns.
  public let width: Int
  /// Rows.
  public let height: Int
  /// The values of all pixels, row by row.
  public var bytes: [UInt8]

  /// Wraps bytes as a picture of one channel.
  public init(width: Int, height: Int, bytes: [UInt8]) {
    precondition(
      width > 0 && height > 0 && bytes.count == width * height,
      "GreyPixels: \(width)x\(height) needs \(width * height) bytes, got \(bytes.count)")
    self.width = width
    self.height = height
    self.bytes = bytes
  }
}

/// A rectangle of whole pixels.
public struct CropBox: Equatable, Sendable {
  /// First column.
  public let left: Int
  /// First row.
  public let top: Int
  /// Columns.
  public let width: Int
  /// Rows.
  public let height: Int

  /// Makes a rectangle.
  public init(left: Int, top: Int, width: Int, height: Int) {
    self.left = left
    self.top = top
    self.width = width
    self.height = height
  }

  /// Whether the rectangle is not empty and lies within a picture of this size.
  public func fits(width: Int, height: Int) -> Bool {
    left >= 0 && top >= 0 && self.width > 0 && self.height > 0 && left + self.width <= width
      && top + self.height <= height
  }

  /// The smallest rectangle that holds both.
  public func union(_ other: CropBox) -> CropBox {
    let x = min(left, other.left)
    let y = min(top, other.top)
    let right = max(left + width, other.left + other.width)
    let bottom = max(top + height, other.top + other.height)
    return CropBox(left: x, top: y, width: right - x, height: bottom - y)
  }
}
