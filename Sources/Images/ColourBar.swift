import Foundation

/// A scale beside pictures: which colour stands for which number.
public struct ColourBar: Sendable {
  let map: ColourMap
  let low, high: Double
  let caption: String
  package static let least = 180
  private static let barWidth = 20
  private static let captionWidth = 110
  /// Steps between round numbers.
  private static let mostSteps = 5

  /// - Parameters:
  ///   - caption: what the numbers are, in a few words.
  public init(_ map: ColourMap, from low: Double, to high: Double, caption: String) {
    self.map = map
    self.low = low
    self.high = high
    self.caption = caption
  }

  private var captionLines: [String] {
    BitmapFont.lines(of: caption, width: ColourBar.captionWidth / PictureSheet.scale)
  }

  /// Round numbers on the scale, the highest first, each with as many digits as their distance needs.
  var numbers: [(value: Double, text: String)] {
    let rough = (high - low) / Double(ColourBar.mostSteps)
    guard rough > 0 else { return [(low, String(format: "%.2f", low))] }
    let power = pow(10, log10(rough).rounded(.down))
    let factor = [1, 2, 2.5, 5].first { $0 * power >= rough * (1 - 1e-9) } ?? 10
    let step = factor * power
    let digits = max(0, -Int(log10(power).rounded()) + (factor == 2.5 ? 1 : factor == 10 ? -1 : 0))
    let places = Int((low / step - 1e-9).rounded(.up))...Int((high / step + 1e-9).rounded(.down))
    return places.reversed().map { (Double($0) * step, String(format: "%.\(digits)f", Double($0) * step)) }
  }

  package var width: Int {
    let numbers = numbers.map { PictureSheet.width(of: $0.text) }.max() ?? 0
    return max(ColourBar.barWidth + 12 + numbers, captionLines.map(PictureSheet.width(of:)).max() ?? 0)
  }

  package func draw(on canvas: inout Canvas, x: Int, y: Int, height: Int) {
    for (line, text) in captionLines.enumerated() { canvas.write(text, x: x, y: y + line * PictureSheet.line) }
    let top = y + captionLines.count * PictureSheet.line + 8
    let length = height - (top - y) - BitmapFont.ascent
    for row in 0..<length {
      canvas.fill(x: x, y: top + row, width: ColourBar.barWidth, height: 1, map[1 - Double(row) / Double(length - 1)])
    }
    for (value, text) in numbers {
      let share = high > low ? (high - value) / (high - low) : 0.5
      let place = top + Int((Double(length - 1) * share).rounded())
      canvas.fill(x: x + ColourBar.barWidth, y: place, width: 5, height: 1, .ink)
      canvas.write(text, x: x + ColourBar.barWidth + 10, y: place - BitmapFont.ascent)
    }
  }
}
