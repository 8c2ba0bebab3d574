import Basics

/// One key as the program knows it: what it means, what it may be and what it is now.
struct Declaration {
  let path: String
  /// For example `whole number`.
  let type: String
  let fallback: JSON
  /// The allowed values in words, or empty.
  let allowed: String
  let unit: String
  let meaning: String
  let value: JSON
  /// Where the value was written; nil when it is the default.
  let origin: String?

  /// The value as a configuration file spells it.
  static func yaml(_ value: JSON) -> String {
    switch value {
    case .null: return "null"
    case .bool(let value): return value ? "true" : "false"
    case .int(let value): return String(value)
    case .double(let value): return decimal(value)
    case .string(let text): return needsQuotes(text) ? value.line : text
    case .array(let elements): return "[" + elements.map(element).joined(separator: ", ") + "]"
    case .object: return value.line
    }
  }

  /// Commas and brackets end an element of a list.
  private static func element(_ value: JSON) -> String {
    if case .string(let text) = value, text.contains(where: { ",[]{}".contains($0) }) { return value.line }
    return yaml(value)
  }

  /// Whether plain text would be read back as something else.
  private static func needsQuotes(_ text: String) -> Bool {
    guard let first = text.first, let last = text.last else { return true }
    if ["null", "~", "true", "false"].contains(text.lowercased()) || Double(text) != nil { return true }
    if "!&*-?:,[]{}#|>@`\"'% ".contains(first) || " :".contains(last) { return true }
    return text.contains(": ") || text.contains(" #") || text.contains { $0.isNewline || $0 == "\t" }
  }
}
