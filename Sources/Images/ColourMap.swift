/// Colours for numbers: lightness rises evenly, so that a map also reads in grey and for colour-blind eyes.
public struct ColourMap: Sendable {
  private let colours: [Colour]

  /// From dark violet through blue and green to yellow, for sizes.
  public static let sequential = ColourMap { place in
    Perception.colour(lightness: 0.24 + 0.70 * place, chroma: 0.15, hue: 300 - 195 * place)
  }

  /// From white to dark blue, for counts with numbers written over them.
  public static let counts = ColourMap { place in
    Perception.colour(lightness: 1 - 0.62 * place, chroma: 0.16 * place, hue: 255)
  }

  private init(_ colour: (Double) -> Colour) { colours = (0..<256).map { colour(Double($0) / 255) } }

  /// The colour of a value from 0 to 1; values beyond have the colours of the ends.
  public subscript(value: Double) -> Colour {
    colours[Int((255 * min(max(value.isNaN ? 0 : value, 0), 1)).rounded())]
  }

  /// A map of `columns` values a row as a picture, each value `cell` pixels wide and high.
  ///
  /// - Shapes: values [rows, columns] -> [rows * cell, columns * cell].
  public func picture(
    of values: [Double], columns: Int, from low: Double, to high: Double, cell: Int = 1
  ) -> Pixels {
    let span = high > low ? high - low : 1
    return Pixels(painting: values.map { self[($0 - low) / span] }, columns: columns, cell: cell)
  }
}

extension Pixels {
  /// A picture of equal squares.
  ///
  /// - Shapes: colours [rows, columns] -> [rows * cell, columns * cell].
  public init(painting colours: [Colour], columns: Int, cell: Int = 1) {
    precondition(columns > 0 && cell > 0 && colours.count % columns == 0, "Pixels: \(colours.count) squares")
    let (width, height) = (columns * cell, colours.count / columns * cell)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(3 * width * height)
    for y in 0..<height {
      for x in 0..<width {
        let colour = colours[y / cell * columns + x / cell]
        bytes += [colour.red, colour.green, colour.blue]
      }
    }
    self.init(width: width, height: height, bytes: bytes)
  }
}
