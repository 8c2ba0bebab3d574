extension JSON {
  /// Reads one JSON value.
  ///
  /// - Throws: `Failure` of code 65 naming the byte where reading stopped.
  public static func parse(_ text: String) throws(Failure) -> JSON {
    var reader = JSONReader(bytes: Array(text.utf8))
    let value = try reader.value()
    reader.skipSpace()
    guard reader.position == reader.bytes.count else { throw reader.failure("text after the value") }
    return value
  }
}

/// A recursive-descent reader over UTF-8 bytes.
private struct JSONReader {
  let bytes: [UInt8]
  var position = 0
  private var depth = 0

  /// Deeper nesting is refused: it would use up the stack.
  private static let maximumDepth = 200

  init(bytes: [UInt8]) { self.bytes = bytes }

  func failure(_ what: String) -> Failure { Failure(.badData, "not JSON: \(what)", at: "byte \(position)") }

  mutating func skipSpace() {
    while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) { position += 1 }
  }

  mutating func take(_ byte: Character) -> Bool {
    skipSpace()
    guard position < bytes.count, bytes[position] == byte.asciiValue else { return false }
    position += 1
    return true
  }

  mutating func value() throws(Failure) -> JSON {
    skipSpace()
    guard position < bytes.count else { throw failure("text ends early") }
    depth += 1
    defer { depth -= 1 }
    guard depth <= JSONReader.maximumDepth else { throw failure("lists or objects inside each other too deeply") }
    switch Character(UnicodeScalar(bytes[position])) {
    case "{": return try object()
    case "[": return try array()
    case "\"": return .string(try string())
    case "t": return try word("true", .bool(true))
    case "f": return try word("false", .bool(false))
    case "n": return try word("null", .null)
    default: return try number()
    }
  }

  mutating func word(_ text: String, _ value: JSON) throws(Failure) -> JSON {
    guard bytes[position...].starts(with: text.utf8) else { throw failure("unknown word") }
    position += text.utf8.count
    return value
  }

  mutating func object() throws(Failure) -> JSON {
    position += 1
    var pairs: [(String, JSON)] = []
    if take("}") { return .object(pairs) }
    repeat {
      skipSpace()
      guard position < bytes.count, bytes[position] == 0x22 else { throw failure("expected a key") }
      let key = try string()
      guard take(":") else { throw failure("expected ':'") }
      pairs.append((key, try value()))
    } while take(",")
    guard take("}") else { throw failure("expected '}'") }
    return .object(pairs)
  }

  mutating func array() throws(Failure) -> JSON {
    position += 1
    var values: [JSON] = []
    if take("]") { return .array(values) }
    repeat { values.append(try value()) } while take(",")
    guard take("]") else { throw failure("expected ']'") }
    return .array(values)
  }

  mutating func number() throws(Failure) -> JSON {
    let start = position
    while position < bytes.count, "+-0123456789.eE".utf8.contains(bytes[position]) { position += 1 }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if let whole = Int(text) { return .int(whole) }
    guard let real = Double(text) else { throw failure("expected a value") }
    return .double(real)
  }

  mutating func string() throws(Failure) -> String {
    position += 1
    var out: [UInt8] = []
    while position < bytes.count, bytes[position] != 0x22 {
      guard bytes[position] == 0x5C else {
        out.append(bytes[position])
        position += 1
        continue
      }
      guard position + 1 < bytes.count else { break }
      let escape = bytes[position + 1]
      position += 2
      switch Character(UnicodeScalar(escape)) {
      case "n": out.append(0x0A)
      case "r": out.append(0x0D)
      case "t": out.append(0x09)
      case "b": out.append(0x08)
      case "f": out.append(0x0C)
      case "u": out += Array(String(try escapedScalar()).utf8)
      default: out.append(escape)
      }
    }
    guard position < bytes.count else { throw failure("text without its closing quote") }
    position += 1
    return String(decoding: out, as: UTF8.self)
  }

  mutating func escapedScalar() throws(Failure) -> Character {
    let first = try hexUnit()
    guard (0xD800..<0xDC00).contains(first) else {
      guard let scalar = UnicodeScalar(first) else { throw failure("half of a surrogate pair") }
      return Character(scalar)
    }
    guard bytes[position...].starts(with: "\\u".utf8) else { throw failure("half of a surrogate pair") }
    position += 2
    let second = try hexUnit()
    guard (0xDC00..<0xE000).contains(second),
      let scalar = UnicodeScalar(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
    else { throw failure("half of a surrogate pair") }
    return Character(scalar)
  }

  mutating func hexUnit() throws(Failure) -> UInt32 {
    guard position + 4 <= bytes.count,
      let unit = UInt32(String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16)
    else { throw failure("\\u without four hexadecimal digits") }
    position += 4
    return unit
  }
}
