import Basics
import Images

/// A sheet of small pictures under captions, as PNG: one row an image, one column a kind.
struct PictureSheet {
  private let captions: [String]
  private let rows: [[Pixels]]
  private let title: String
  private static let gap = 6
  private static let textScale = 2

  /// - Parameters:
  ///   - title: a line at the top, for example the step and the loss.
  ///   - captions: one a column.
  ///   - rows: pictures of one size, one a caption.
  init(title: String, captions: [String], rows: [[Pixels]]) {
    precondition(rows.allSatisfy { $0.count == captions.count }, "PictureSheet: \(captions.count) captions")
    self.title = title
    self.captions = captions
    self.rows = rows
  }

  /// The sheet; small pictures are enlarged by a whole factor so that a column is at least 128 pixels wide.
  func rendered() -> Pixels {
    let side = rows.first?.first?.width ?? 1
    let tall = rows.first?.first?.height ?? 1
    let zoom = max(1, 128 / max(side, 1))
    let gap = PictureSheet.gap
    let textRow = BitmapFont.height * PictureSheet.textScale + 2 * gap
    let captionWidth = captions.map { BitmapFont.width(of: $0) * PictureSheet.textScale }.max() ?? 0
    let column = max(side * zoom, captionWidth) + gap
    let titleWidth = BitmapFont.width(of: title) * PictureSheet.textScale + 2 * gap
    let width = max(gap + column * captions.count, titleWidth)
    let height = 2 * textRow + rows.count * (tall * zoom + gap)
    var canvas = Canvas(width: width, height: height)
    canvas.write(title, x: gap, y: gap, scale: PictureSheet.textScale)
    for (index, caption) in captions.enumerated() {
      canvas.write(caption, x: gap + index * column, y: textRow + gap, scale: PictureSheet.textScale)
    }
    for (row, pictures) in rows.enumerated() {
      for (index, picture) in pictures.enumerated() {
        let y = 2 * textRow + row * (tall * zoom + gap)
        canvas.place(picture, x: gap + index * column, y: y, zoom: zoom)
      }
    }
    return Pixels(width: width, height: height, bytes: canvas.bytes)
  }
}

/// White RGB paper to draw on.
private struct Canvas {
  let width: Int
  let height: Int
  var bytes: [UInt8]

  init(width: Int, height: Int) {
    self.width = width
    self.height = height
    bytes = [UInt8](repeating: 255, count: width * height * 3)
  }

  mutating func place(_ picture: Pixels, x: Int, y: Int, zoom: Int) {
    for row in 0..<picture.height * zoom {
      for column in 0..<picture.width * zoom {
        let from = ((row / zoom) * picture.width + column / zoom) * 3
        let to = ((y + row) * width + x + column) * 3
        for channel in 0..<3 { bytes[to + channel] = picture.bytes[from + channel] }
      }
    }
  }

  mutating func write(_ text: String, x: Int, y: Int, scale: Int) {
    var left = x
    for character in text.uppercased() {
      let rows = BitmapFont.rows(of: character)
      for (row, bits) in rows.enumerated() {
        for column in 0..<3 where bits & (4 >> UInt8(column)) != 0 {
          fill(x: left + column * scale, y: y + row * scale, side: scale)
        }
      }
      left += BitmapFont.advance * scale
    }
  }

  private mutating func fill(x: Int, y: Int, side: Int) {
    for row in y..<min(y + side, height) {
      for column in x..<min(x + side, width) {
        for channel in 0..<3 { bytes[(row * width + column) * 3 + channel] = 30 }
      }
    }
  }
}

/// Letters of three by five dots: enough for captions without a font library. A glyph is five rows of three bits.
private enum BitmapFont {
  static let height = 5
  static let advance = 4

  static func width(of text: String) -> Int { text.count * advance }

  static func rows(of character: Character) -> [UInt8] {
    (glyphs[character] ?? "72227").compactMap { $0.wholeNumberValue.map(UInt8.init) }
  }

  private static let glyphs: [Character: String] = [
    "A": "25755", "B": "65656", "C": "34443", "D": "65556", "E": "74647", "F": "74644", "G": "34553", "H": "55755",
    "I": "72227", "J": "11152", "K": "55655", "L": "44447", "M": "57755", "N": "65555", "O": "25552", "P": "65644",
    "Q": "25563", "R": "65655", "S": "34216", "T": "72222", "U": "55557", "V": "55552", "W": "55775", "X": "55255",
    "Y": "55222", "Z": "71247", "0": "75557", "1": "26227", "2": "61247", "3": "61216", "4": "55711", "5": "74616",
    "6": "34757", "7": "71222", "8": "75757", "9": "75716", " ": "00000", "-": "00700", ".": "00002", ",": "00024",
    "%": "51245", "/": "11244", ":": "02020", "=": "07070", "(": "24442", ")": "21112", "+": "02720", "_": "00007",
  ]
}
