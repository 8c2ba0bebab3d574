import Glibc

/// A colour of a picture: red, green, blue.
public struct Colour: Equatable, Sendable {
  /// The three channels.
  public let red, green, blue: UInt8

  /// A colour.
  public init(_ red: UInt8, _ green: UInt8, _ blue: UInt8) { (self.red, self.green, self.blue) = (red, green, blue) }

  /// Paper.
  public static let white = Colour(255, 255, 255)
  /// Text.
  public static let ink = Colour(32, 32, 38)
  /// Text of lesser weight.
  public static let pencil = Colour(110, 110, 120)
  /// Places without a picture, and thin lines.
  public static let mist = Colour(226, 226, 231)
  /// What is behind everything else.
  public static let ground = Colour(178, 180, 190)
  /// What is right.
  public static let right = Colour(34, 160, 90)
  /// What is wrong.
  public static let wrong = Colour(214, 58, 64)
  /// What is pointed at.
  public static let mark = Colour(255, 64, 128)

  /// The colour `share` of the way to another one.
  public func mixed(_ share: Double, with other: Colour) -> Colour {
    func mix(_ a: UInt8, _ b: UInt8) -> UInt8 { UInt8((Double(a) + share * (Double(b) - Double(a))).rounded()) }
    return Colour(mix(red, other.red), mix(green, other.green), mix(blue, other.blue))
  }

  /// The lightness that the eye sees, 0 for black to 1 for white.
  public var lightness: Double { Perception.lightness(self) }

  /// A colour for a class: equally far apart in hue, neighbours of different lightness.
  public static func ofClass(_ number: Int, among count: Int) -> Colour {
    let levels = [0.62, 0.80, 0.47]
    let lightness = levels[number % (count > 12 ? 3 : 2)]
    return Perception.colour(
      lightness: lightness, chroma: 0.17, hue: 25 + 360 * Double(number) / Double(max(count, 1)))
  }
}

/// Colours by lightness, chroma and hue as the eye tells them apart.
///
/// - Source: B. Ottosson, "A perceptual color space for image processing", 2020 (Oklab).
enum Perception {
  /// The colour nearest to the wish that a screen can show: chroma gives way.
  static func colour(lightness: Double, chroma: Double, hue degrees: Double) -> Colour {
    let angle = degrees * .pi / 180
    var (low, high) = (0.0, chroma)
    if shown(lightness, chroma * cos(angle), chroma * sin(angle)).isPossible { low = chroma }
    while high - low > 1e-4 {
      let middle = (low + high) / 2
      if shown(lightness, middle * cos(angle), middle * sin(angle)).isPossible { low = middle } else { high = middle }
    }
    return shown(lightness, low * cos(angle), low * sin(angle)).colour
  }

  static func lightness(_ colour: Colour) -> Double {
    let linear = [colour.red, colour.green, colour.blue].map { byte in
      let screen = Double(byte) / 255
      return screen <= 0.04045 ? screen / 12.92 : pow((screen + 0.055) / 1.055, 2.4)
    }
    func root(_ r: Double, _ g: Double, _ b: Double) -> Double { cbrt(r * linear[0] + g * linear[1] + b * linear[2]) }
    return 0.2104542553 * root(0.4122214708, 0.5363325363, 0.0514459929)
      + 0.7936177850 * root(0.2119034982, 0.6806995451, 0.1073969566)
      - 0.0040720468 * root(0.0883024619, 0.2817188376, 0.6299787005)
  }

  private static func shown(_ l: Double, _ a: Double, _ b: Double) -> (colour: Colour, isPossible: Bool) {
    func cubed(_ x: Double) -> Double { x * x * x }
    let long = cubed(l + 0.3963377774 * a + 0.2158037573 * b)
    let medium = cubed(l - 0.1055613458 * a - 0.0638541728 * b)
    let short = cubed(l - 0.0894841775 * a - 1.2914855480 * b)
    let linear = [
      4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
      -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
      -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    ]
    let bytes = linear.map { value in
      let bounded = min(max(value, 0), 1)
      let screen = bounded <= 0.0031308 ? 12.92 * bounded : 1.055 * pow(bounded, 1 / 2.4) - 0.055
      return UInt8((255 * screen).rounded())
    }
    return (Colour(bytes[0], bytes[1], bytes[2]), linear.allSatisfy { (-1e-4...1.0001).contains($0) })
  }
}
