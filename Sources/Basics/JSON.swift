/// A JSON value that keeps the order of its keys, so that lines of a log look alike.
public indirect enum JSON: Sendable, Equatable {
  case null
  case bool(Bool)
  case int(Int)
  case double(Double)
  case string(String)
  case array([JSON])
  case object([Member])

  /// One key and its value.
  public struct Member: Sendable, Equatable {
    /// The key.
    public let key: String
    /// The value.
    public let value: JSON
  }

  /// An object from pairs, in their order.
  public static func object(_ pairs: [(String, JSON)]) -> JSON {
    .object(pairs.map { Member(key: $0.0, value: $0.1) })
  }

  /// The value on one line. Numbers that are not finite become `null`.
  public var line: String {
    switch self {
    case .null: return "null"
    case .bool(let value): return value ? "true" : "false"
    case .int(let value): return String(value)
    case .double(let value): return value.isFinite ? "\(value)" : "null"
    case .string(let value): return JSON.quoted(value)
    case .array(let values): return "[" + values.map(\.line).joined(separator: ",") + "]"
    case .object(let members):
      return "{" + members.map { "\(JSON.quoted($0.key)):\($0.value.line)" }.joined(separator: ",") + "}"
    }
  }

  /// The value of `key`, or nil when this is no object or has no such key.
  public subscript(key: String) -> JSON? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key == key }?.value
  }

  /// The number, whole or not.
  public var doubleValue: Double? {
    switch self {
    case .int(let value): return Double(value)
    case .double(let value): return value
    default: return nil
    }
  }

  /// The whole number.
  public var intValue: Int? {
    if case .int(let value) = self { return value }
    return nil
  }

  /// The text.
  public var stringValue: String? {
    if case .string(let value) = self { return value }
    return nil
  }

  /// The elements.
  public var arrayValue: [JSON]? {
    if case .array(let values) = self { return values }
    return nil
  }

  /// The members of an object in their order.
  public var members: [Member]? {
    if case .object(let members) = self { return members }
    return nil
  }

  private static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      case _ where scalar.value < 0x20:
        let hex = String(scalar.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}
