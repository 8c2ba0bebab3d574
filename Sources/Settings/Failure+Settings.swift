import Basics

extension Failure {
  /// A key that no part of the program reads.
  static func unknownKey(
    _ key: String, at place: String?, candidates: [String], method: String?, others: [String]
  ) -> Failure {
    var hint: String
    let top = String(key.prefix { $0 != "." })
    if SettingsTree.methodSections.contains(top), let method, !candidates.contains(top) {
      hint = "'\(top)' belongs to another method; this run's method is \(method)"
    } else if let nearest = nearestName(to: key, among: candidates) {
      hint = "did you mean '\(nearest)'?"
    } else {
      hint = "sslmpi config explain lists every key"
    }
    if !others.isEmpty {
      let shown = others.prefix(5).joined(separator: ", ")
      hint += "; also unknown: \(shown)" + (others.count > 5 ? " and \(others.count - 5) more" : "")
    }
    return Failure(.badConfig, "unknown key '\(key)'", at: place, hint: hint)
  }

  /// A value of the wrong type.
  static func wrongType(_ path: String, expected: String, found: RawValue, at place: String) -> Failure {
    Failure(
      .badConfig, "'\(path)' must be \(expected), found \(found.isNull ? "null" : found.text)", at: place,
      hint: "sslmpi config explain \(path)")
  }

  /// A value outside what is allowed.
  static func outOfRange(_ path: String, value: String, allowed: String, unit: String, at place: String) -> Failure {
    Failure(
      .badConfig, "'\(path)' is \(value), allowed: \(allowed)" + (unit.isEmpty ? "" : " (\(unit))"), at: place,
      hint: "sslmpi config explain \(path)")
  }
}
