import Basics

extension Failure {
  /// A key that no part of the program reads.
  ///
  /// - Parameters:
  ///   - spelled: the key as it was written, with its stage where it has one.
  ///   - stages: the stages that know the key.
  static func unknownKey(
    _ key: String, spelled: String? = nil, at place: String?, candidates: [String], method: String?,
    stages: [String] = [], others: [String]
  ) -> Failure {
    let spelled = spelled ?? key
    var hint: String
    let top = String(key.prefix { $0 != "." })
    if !stages.isEmpty {
      hint = "'\(key)' belongs to " + stages.map { "stages.\($0)" }.joined(separator: ", ")
    } else if SettingsTree.methodSections.contains(top), let method, !candidates.contains(top) {
      hint = "'\(top)' belongs to another method; this run's method is \(method)"
    } else if let nearest = nearestName(to: key, among: candidates) {
      hint = "did you mean '\(spelled.dropLast(key.count))\(nearest)'?"
    } else {
      hint = "sslmpi config explain lists every key"
    }
    if !others.isEmpty {
      let shown = others.prefix(5).joined(separator: ", ")
      hint += "; also unknown: \(shown)" + (others.count > 5 ? " and \(others.count - 5) more" : "")
    }
    return Failure(.badConfig, "unknown key '\(spelled)'", at: place, hint: hint)
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
