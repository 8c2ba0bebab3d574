import Basics
import Storage

/// The head of a `.npy` file: what numbers follow, and their shape.
///
/// - Source: NumPy enhancement proposal 1, versions 1.0 to 3.0; C order and little-endian numbers only.
struct NumpyHeader: Equatable {
  let kind: ElementKind
  let shape: [Int]

  private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
  private static let codes: [(kind: ElementKind, code: String)] = [
    (.float32, "<f4"), (.float64, "<f8"), (.int32, "<i4"), (.int64, "<i8"), (.uint8, "|u1"),
  ]

  /// The head of version 1.0, a multiple of 64 bytes long: the elements follow on it.
  var bytes: [UInt8] {
    let code = Self.codes.first { $0.kind == kind }?.code ?? ""
    let extents = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
    var text = "{'descr': '\(code)', 'fortran_order': False, 'shape': (\(extents)), }"
    while (10 + text.utf8.count + 1) % 64 != 0 { text += " " }
    text += "\n"
    let length = UInt16(text.utf8.count)
    return Self.magic + [1, 0, UInt8(length & 255), UInt8(length >> 8)] + Array(text.utf8)
  }

  init(_ kind: ElementKind, _ shape: [Int]) {
    self.kind = kind
    self.shape = shape
  }

  /// Reads the head of a file.
  ///
  /// - Returns: the head, and where the elements begin.
  /// - Throws: bad data when it is none, or the file is too short for it.
  static func read(_ file: borrowing ByteFile) throws(Failure) -> (header: NumpyHeader, offset: Int) {
    let path = file.path
    func damaged(_ what: String) -> Failure {
      Failure(.badData, "not an array that can be read: \(what)", at: path, hint: "numpy.save of a C-ordered array")
    }
    guard try file.length() >= 12 else { throw damaged("the file is too short") }
    let start = try file.bytes(12, at: 0)
    guard Array(start.prefix(6)) == magic, (1...3).contains(start[6]) else { throw damaged("no .npy file") }
    let isShort = start[6] == 1
    let length = (0..<(isShort ? 2 : 4)).reduce(0) { $0 | Int(start[8 + $1]) << (8 * $1) }
    let offset = (isShort ? 10 : 12) + length
    guard length < 1 << 20, try file.length() >= offset else { throw damaged("its head is cut off") }
    let text = String(decoding: try file.bytes(length, at: offset - length), as: UTF8.self)
    guard let header = NumpyHeader(text) else { throw damaged(text.prefix { $0 != "\n" }.description) }
    let expected = offset + header.shape.reduce(header.kind.bytes, *)
    guard try file.length() == expected else {
      throw damaged("\(try file.length()) bytes where shape \(header.shape) needs \(expected)")
    }
    return (header, offset)
  }

  /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, whatever the order of its keys.
  private init?(_ text: String) {
    guard let dictionary = try? JSON.parse(Self.json(text)), dictionary["fortran_order"] == .bool(false),
      let code = dictionary["descr"]?.stringValue, let known = Self.codes.first(where: { $0.code == code }),
      let extents = dictionary["shape"]?.arrayValue
    else { return nil }
    let shape = extents.compactMap(\.intValue)
    guard shape.count == extents.count, shape.allSatisfy({ $0 >= 0 }) else { return nil }
    self.init(known.kind, shape)
  }

  /// The same dictionary as JSON.
  private static func json(_ text: String) -> String {
    var result = ""
    for character in text where !character.isWhitespace {
      switch character {
      case "'": result += "\""
      case "(": result += "["
      case ")", "}":
        if result.hasSuffix(",") { result.removeLast() }
        result += character == ")" ? "]" : "}"
      default: result.append(character)
      }
    }
    return result.replacing("False", with: "false").replacing("True", with: "true")
  }
}
