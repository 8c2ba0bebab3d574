import Basics

extension SettingsTree {
  /// Every declared key with its value: reading it again gives the same settings.
  public var resolvedJSON: JSON { .nested(declarations.map { ($0.path, $0.value) }) }

  /// The same as a file, one key a line.
  public var resolvedYAML: String { resolvedJSON.yaml }

  /// All declared keys, in the order they were first read.
  public var keys: [String] { declarations.map(\.path) }

  /// What a key or section is, where its value comes from and what it may be; all sections for an empty `key`.
  ///
  /// - Throws: bad config with the nearest key when there is none of this name.
  public func explain(_ key: String) throws(Failure) -> String {
    let key = SettingsTree.canonical(key)
    if let declaration = declaration(of: key) { return declaration.explanation(named: key) }
    let below = declarations.filter { key.isEmpty || $0.path.hasPrefix(key + ".") }
    guard !below.isEmpty else {
      throw .unknownKey(key, at: nil, candidates: keys + sectionPaths, method: methodName, others: [])
    }
    return Declaration.list(below.map { ($0.path, $0) })
  }
}

extension Declaration {
  /// All there is to know about the key.
  func explanation(named name: String) -> String {
    var lines = [
      "\(name): \(Declaration.yaml(value))",
      "  meaning  \(meaning)",
      "  from     \(origin ?? "the default")",
      "  type     \(type)",
    ]
    if !allowed.isEmpty { lines.append("  allowed  \(allowed)") }
    if !unit.isEmpty { lines.append("  unit     \(unit)") }
    lines.append("  default  \(Declaration.yaml(fallback))")
    return lines.joined(separator: "\n")
  }

  /// One line a key: value and meaning.
  static func list(_ keys: [(name: String, declaration: Declaration)]) -> String {
    let width = keys.map { $0.name.count + yaml($0.declaration.value).count }.max() ?? 0
    return keys.map { name, declaration in
      let head = "\(name): \(yaml(declaration.value))"
      let gap = String(repeating: " ", count: max(0, min(width, 48) + 4 - head.count))
      return "\(head)\(gap)  # \(declaration.meaning)"
    }.joined(separator: "\n")
  }
}

extension JSON {
  /// Values under dotted paths as nested objects, in the order of their first mention.
  static func nested(_ values: [(path: String, value: JSON)]) -> JSON {
    var root = Branch()
    for (path, value) in values { root.insert(value, at: path.split(separator: ".").map(String.init)[...]) }
    return root.json
  }

  /// The members of an object as a file, one key a line.
  var yaml: String { yamlLines(indent: "").joined(separator: "\n") + "\n" }

  private func yamlLines(indent: String) -> [String] {
    (members ?? []).flatMap { member -> [String] in
      switch member.value {
      case .object: return ["\(indent)\(member.key):"] + member.value.yamlLines(indent: indent + "  ")
      case .array(let elements) where elements.contains(where: { $0.members != nil }):
        return ["\(indent)\(member.key):"] + elements.flatMap { $0.yamlElement(indent: indent + "  ") }
      default: return ["\(indent)\(member.key): \(Declaration.yaml(member.value))"]
      }
    }
  }

  /// An object as an element of a list: a dash before its first key.
  private func yamlElement(indent: String) -> [String] {
    let lines = yamlLines(indent: indent + "  ")
    return lines.prefix(1).map { "\(indent)- \($0.dropFirst(indent.count + 2))" } + lines.dropFirst()
  }
}

/// A nested object under construction.
private struct Branch {
  private var keys: [String] = []
  private var values: [String: JSON] = [:]
  private var branches: [String: Branch] = [:]

  mutating func insert(_ value: JSON, at path: ArraySlice<String>) {
    guard let head = path.first else { return }
    if !keys.contains(head) { keys.append(head) }
    if path.count == 1 {
      values[head] = value
    } else {
      branches[head, default: Branch()].insert(value, at: path.dropFirst())
    }
  }

  var json: JSON {
    .object(keys.map { ($0, branches[$0]?.json ?? values[$0] ?? .null) })
  }
}
