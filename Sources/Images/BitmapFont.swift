/// Letters of five by seven dots and two more below the line: enough for captions without a font library.
public enum BitmapFont {
  /// Dots from the top of a capital letter to the line.
  public static let ascent = 7
  /// Dots from the top of a capital letter to the lowest dot of `g`.
  public static let height = 9
  private static let widest = 5

  /// Dots that a text is wide, with the one of space between letters but none behind the last.
  public static func width(of text: String) -> Int {
    max(0, text.reduce(0) { $0 + width(of: $1) + 1 } - 1)
  }

  /// Dots that a letter is wide; digits are equally wide, so that numbers stand in columns.
  static func width(of character: Character) -> Int {
    if character == " " { return 3 }
    if character.isASCII, character.isNumber { return widest }
    let inked = rows(of: character).reduce(0, |)
    return inked == 0 ? widest : widest - inked.trailingZeroBitCount
  }

  /// The rows of a letter from the top, five bits each, the leftmost the highest; a box for an unknown letter.
  static func rows(of character: Character) -> [UInt8] {
    (glyphs[character] ?? "vhhhhhv").compactMap { UInt8(String($0), radix: 32) }
  }

  /// Words broken into lines of at most `width` dots; a word that is too long stays whole, as a number and its %.
  public static func lines(of text: String, width limit: Int) -> [String] {
    var lines: [String] = []
    var words: [String] = []
    for word in text.split(separator: " ") {
      if word.first == "%", let number = words.popLast() {
        words.append("\(number) \(word)")
      } else {
        words.append(String(word))
      }
    }
    for word in words {
      if let last = lines.last, width(of: "\(last) \(word)") <= limit {
        lines[lines.count - 1] = "\(last) \(word)"
      } else {
        lines.append(word)
      }
    }
    return lines
  }

  /// A glyph is one base-32 digit a row; rows at the bottom may be left out.
  private static let glyphs: [Character: String] = [
    " ": "0",
    "A": "ehhvhhh", "B": "uhhuhhu", "C": "ehggghe", "D": "uhhhhhu", "E": "vgguggv", "F": "vgguggg", "G": "ehgnhhf",
    "H": "hhhvhhh", "I": "s88888s", "J": "72222ic", "K": "hikokih", "L": "ggggggv", "M": "hrllhhh", "N": "hhpljhh",
    "O": "ehhhhhe", "P": "uhhuggg", "Q": "ehhhlid", "R": "uhhukih", "S": "fgge11u", "T": "v444444", "U": "hhhhhhe",
    "V": "hhhhha4", "W": "hhhllla", "X": "hha4ahh", "Y": "hhha444", "Z": "v1248gv", "0": "ehjlphe", "1": "4c4444e",
    "2": "eh1248v", "3": "v2421he", "4": "26aiv22", "5": "vgu11he", "6": "68guhhe", "7": "v124888", "8": "ehhehhe",
    "9": "ehhf12c", "a": "00e1fhf", "b": "ggmphhu", "c": "00egghe", "d": "11djhhf", "e": "00ehvge", "f": "698s888",
    "g": "00fhhhf1e", "h": "ggmphhh", "i": "80o888s", "j": "2062222ic", "k": "ggikoki", "l": "o88888s",
    "m": "00qllhh", "n": "00mphhh", "o": "00ehhhe", "p": "00uhhhugg", "q": "00fhhhf11", "r": "00mpggg",
    "s": "00fge1u", "t": "88s8896", "u": "00hhhjd", "v": "00hhha4", "w": "00hhlla", "x": "00ha4ah", "y": "00hhhhf1e",
    "z": "00v248v", ".": "00000oo", ",": "00000oo8g", ":": "00oo0oo", ";": "00oo0oo8g", "!": "ggggg0g",
    "?": "eh12404", "'": "gg", "\"": "kk", "-": "000u", "+": "044v44", "=": "00v0v", "_": "0000000v", "/": "11248gg",
    "\\": "gg84211", "(": "48ggg84", ")": "g84448g", "[": "sgggggs", "]": "s44444s", "{": "488g884", "}": "g88488g",
    "<": "248g842", ">": "g84248g", "*": "04lel4", "#": "aavavaa", "%": "op248j3", "&": "cik8lid", "@": "ehnlnge",
    "$": "4fke5u4", "^": "4ah", "`": "g8", "~": "008l2", "|": "ggggggg", "×": "0ha4ah", "±": "44v440v",
    "→": "042v24", "·": "000oo", "–": "000v",
  ]
}
