/// White paper to draw on. What lies beyond its edge is cut off.
public struct Canvas {
  /// Columns.
  public let width: Int
  /// Rows.
  public let height: Int
  private var bytes: [UInt8]

  /// Empty paper.
  public init(width: Int, height: Int) {
    self.width = width
    self.height = height
    bytes = [UInt8](repeating: 255, count: width * height * 3)
  }

  /// What has been drawn.
  public var pixels: Pixels { Pixels(width: width, height: height, bytes: bytes) }

  /// Draws a picture, every pixel of it `zoom` wide and high.
  public mutating func place(_ picture: Pixels, x: Int, y: Int, zoom: Int = 1) {
    for row in 0..<picture.height * zoom {
      for column in 0..<picture.width * zoom {
        let from = ((row / zoom) * picture.width + column / zoom) * 3
        paint(
          x + column, y + row, Colour(picture.bytes[from], picture.bytes[from + 1], picture.bytes[from + 2]))
      }
    }
  }

  /// Fills a rectangle.
  public mutating func fill(x: Int, y: Int, width: Int, height: Int, _ colour: Colour) {
    for row in max(y, 0)..<max(min(y + height, self.height), max(y, 0)) {
      for column in max(x, 0)..<max(min(x + width, self.width), max(x, 0)) { paint(column, row, colour) }
    }
  }

  /// Draws the edge of a rectangle, inside it.
  public mutating func frame(x: Int, y: Int, width: Int, height: Int, thickness: Int, _ colour: Colour) {
    fill(x: x, y: y, width: width, height: thickness, colour)
    fill(x: x, y: y + height - thickness, width: width, height: thickness, colour)
    fill(x: x, y: y, width: thickness, height: height, colour)
    fill(x: x + width - thickness, y: y, width: thickness, height: height, colour)
  }

  /// Fills a disc.
  public mutating func dot(x: Double, y: Double, radius: Double, _ colour: Colour) {
    let reach = Int(radius.rounded(.up))
    let (centreX, centreY) = (Int(x.rounded()), Int(y.rounded()))
    for row in centreY - reach...centreY + reach {
      for column in centreX - reach...centreX + reach {
        let (dx, dy) = (Double(column) - x, Double(row) - y)
        if dx * dx + dy * dy <= radius * radius { paint(column, row, colour) }
      }
    }
  }

  /// Writes one line of text whose capital letters begin at `y`.
  public mutating func write(_ text: String, x: Int, y: Int, scale: Int = 2, _ colour: Colour = .ink) {
    var left = x
    for character in text {
      for (row, bits) in BitmapFont.rows(of: character).enumerated() {
        for column in 0..<5 where bits & (16 >> UInt8(column)) != 0 {
          fill(x: left + column * scale, y: y + row * scale, width: scale, height: scale, colour)
        }
      }
      left += (BitmapFont.width(of: character) + 1) * scale
    }
  }

  /// Writes one line of text from below to above: the text is read with the head to the left, and begins at `y`.
  public mutating func writeUpwards(_ text: String, x: Int, y: Int, scale: Int = 2, _ colour: Colour = .ink) {
    var bottom = y
    for character in text {
      for (row, bits) in BitmapFont.rows(of: character).enumerated() {
        for column in 0..<5 where bits & (16 >> UInt8(column)) != 0 {
          fill(x: x + row * scale, y: bottom - (column + 1) * scale, width: scale, height: scale, colour)
        }
      }
      bottom -= (BitmapFont.width(of: character) + 1) * scale
    }
  }

  private mutating func paint(_ x: Int, _ y: Int, _ colour: Colour) {
    guard (0..<width).contains(x), (0..<height).contains(y) else { return }
    let place = (y * width + x) * 3
    (bytes[place], bytes[place + 1], bytes[place + 2]) = (colour.red, colour.green, colour.blue)
  }
}
