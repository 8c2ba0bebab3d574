import Basics
import Foundation

/// The settings of a run, merged from files, environment and command line, and the book of every key the program
/// asked for.
///
/// Nothing is declared twice: reading a key through a `Section` declares it, so unknown keys, `config explain` and
/// `config.resolved.yaml` all come from the same calls.
public final class SettingsTree {
  private var leaves: [String: Leaf] = [:]
  private var written: [String: String] = [:]
  private var declarations: [Declaration] = []
  private var positions: [String: Int] = [:]
  private var sectionPaths: [String] = []

  /// Merges the layers of a run, later ones winning: files that CONFIG extends, the preset, each CONFIG from left to
  /// right, `SSLMPI_*` variables, overrides.
  ///
  /// - Parameters:
  ///   - files: paths of CONFIG files.
  ///   - preset: a name from `Presets.names`.
  ///   - presetDirectory: where presets are; nil looks for it, see `Presets`.
  ///   - overrides: `key.sub=value`; `--flag key.sub=value` names the flag it came from.
  /// - Throws: input missing for a file, bad config for what is wrong in it, usage for a malformed override.
  public static func load(
    files: [String] = [], preset: String? = nil, presetDirectory: String? = nil, overrides: [String] = [],
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws(Failure) -> SettingsTree {
    let tree = SettingsTree()
    var bases: [Layer] = []
    var tops: [Layer] = []
    for file in files {
      let chain = try ConfigurationFile(path: file).layers
      bases += chain.dropLast()
      tops += chain.suffix(1)
    }
    var presets: [Layer] = []
    if let preset {
      let path = try Presets.path(of: preset, directory: presetDirectory, environment: environment)
      presets = try ConfigurationFile(path: path).layers
    }
    for layer in bases + presets + tops { tree.apply(layer) }
    for (variable, key) in SettingsTree.variables {
      guard let text = environment[variable], !text.isEmpty else { continue }
      tree.apply(try Layer(path: key, text: text, origin: variable))
    }
    for override in overrides { tree.apply(try Layer(override: override)) }
    tree.environment = environment
    return tree
  }

  /// The settings written in `yaml` alone, for a configuration kept in a checkpoint or sent by another rank.
  public static func parse(_ yaml: String, named name: String) throws(Failure) -> SettingsTree {
    let tree = SettingsTree()
    tree.apply(try Layer(yaml: yaml, name: name))
    return tree
  }

  /// Environment variables that stand for a key. `SSLMPI_DATA_ROOT` and others may be used as `${NAME}` in data paths.
  public static let variables: [(name: String, key: String)] = [
    ("SSLMPI_THREADS", "runtime.threads"), ("SSLMPI_ISA", "runtime.isa"),
  ]

  /// Keys that are another spelling of a key: the value gets the unit and the last one written wins.
  private static let synonyms: [String: (path: String, unit: String)] = [
    "optim.warmup_epochs": ("optim.warmup", "epochs")
  ]

  private(set) var environment: [String: String] = [:]

  /// The section at a dotted path, or the whole tree for an empty one.
  public func section(_ path: String) -> Section { Section(path: path, of: self) }

  // MARK: - Merging

  private func apply(_ layer: Layer) {
    for (path, origin) in layer.sections {
      leaves[path] = nil
      written[path] = origin
    }
    for (path, leaf) in layer.leaves {
      for other in leaves.keys where other.hasPrefix(path + ".") { leaves[other] = nil }
      for other in written.keys where other == path || other.hasPrefix(path + ".") { written[other] = nil }
      leaves[path] = leaf
    }
  }

  /// The key and value that a synonym stands for; any other key as it is.
  static func canonical(_ path: String, _ leaf: Leaf) -> (String, Leaf) {
    guard let synonym = synonyms[path] else { return (path, leaf) }
    guard case .scalar(let text, quoted: false) = leaf.value, Double(text) != nil else { return (synonym.path, leaf) }
    return (synonym.path, Leaf(value: .scalar("\(text) \(synonym.unit)", quoted: false), origin: leaf.origin))
  }

  // MARK: - Reading, for Section

  /// What is written at `path`.
  ///
  /// - Throws: bad config when a section stands where a value belongs.
  func leaf(_ path: String) throws(Failure) -> Leaf? {
    if let origin = written[path] {
      throw Failure(.badConfig, "'\(path)' is a value, but keys are written below it", at: origin)
    }
    return leaves[path]
  }

  func declare(_ declaration: Declaration) {
    if let index = positions[declaration.path] {
      declarations[index] = declaration
    } else {
      positions[declaration.path] = declarations.count
      declarations.append(declaration)
    }
  }

  func declareSection(_ path: String) {
    var path = path[...]
    while !path.isEmpty {
      if sectionPaths.contains(String(path)) { return }
      sectionPaths.append(String(path))
      path = path.lastIndex(of: ".").map { path[..<$0] } ?? ""
    }
  }

  /// Where `path` was written, or nil.
  public func origin(of path: String) -> String? { leaves[path]?.origin ?? written[path] }

  // MARK: - Unknown keys

  /// Reports what was written but is no key of this program; call it when everybody has read theirs.
  ///
  /// - Throws: bad config with file and line, the key and the nearest known one.
  public func finish() throws(Failure) { try rejectUnknown { _ in true } }

  /// The same for all but the sections that methods own, which may not have been read yet.
  func rejectUnknownOutsideMethods() throws(Failure) {
    let own = SettingsTree.methodSections.union([leaves["method"]?.value.text ?? ""])
    try rejectUnknown { path in !own.contains(String(path.prefix { $0 != "." })) }
  }

  /// Sections that methods own, present and planned: a left-over one gets a fitting hint.
  static let methodSections: Set<String> = [
    "mae", "mae-ct", "nnclr", "ema", "moca", "mmc", "pseudo-mae", "udi", "dino", "ibot", "stages",
  ]

  private func rejectUnknown(where isChecked: (String) -> Bool) throws(Failure) {
    let known = Set(sectionPaths)
    var faults: [String: String] = [:]
    for (path, origin) in leaves.map({ ($0.key, $0.value.origin) }) + written.map({ ($0.key, $0.value) })
    where isChecked(path) && positions[path] == nil {
      if known.contains(path) {
        guard written[path] == nil else { continue }
        throw Failure(
          .badConfig, "'\(path)' is a section: its keys belong below it", at: origin,
          hint: "sslmpi config explain \(path) lists them")
      }
      let unknown = topmostUnknown(path, known: known)
      faults[unknown] = self.origin(of: unknown) ?? origin
    }
    let ordered = faults.sorted { ($0.value, $0.key) < ($1.value, $1.key) }
    guard let first = ordered.first else { return }
    throw .unknownKey(
      first.key, at: first.value, candidates: declarations.map(\.path) + sectionPaths,
      method: leaves["method"]?.value.text, others: ordered.dropFirst().map { "'\($0.key)' (\($0.value))" })
  }

  /// The first part of a path that no section holds: all of `moca.x` is unknown because `moca` is.
  private func topmostUnknown(_ path: String, known: Set<String>) -> String {
    var end = path.startIndex
    while let dot = path[end...].firstIndex(of: ".") {
      let head = String(path[..<dot])
      if !known.contains(head) { return head }
      end = path.index(after: dot)
    }
    return path
  }
}

extension SettingsTree {
  /// Every declared key with its value: reading it again gives the same settings.
  public var resolvedJSON: JSON {
    var root = Branch()
    for declaration in declarations {
      root.insert(declaration.value, at: declaration.path.split(separator: ".").map(String.init)[...])
    }
    return root.json
  }

  /// The same as a file, one key a line.
  public var resolvedYAML: String {
    var lines: [String] = []
    SettingsTree.write(resolvedJSON, indent: "", into: &lines)
    return lines.joined(separator: "\n") + "\n"
  }

  /// All declared keys, in the order they were first read.
  public var keys: [String] { declarations.map(\.path) }

  /// What a key or section is, where its value comes from and what it may be; all sections for an empty `key`.
  ///
  /// - Throws: bad config with the nearest key when there is none of this name.
  public func explain(_ key: String) throws(Failure) -> String {
    let key = SettingsTree.synonyms[key]?.path ?? key
    if let index = positions[key] { return SettingsTree.explanation(of: declarations[index]) }
    let below = declarations.filter { key.isEmpty || $0.path.hasPrefix(key + ".") }
    guard !below.isEmpty else {
      throw .unknownKey(
        key, at: nil, candidates: keys + sectionPaths, method: leaves["method"]?.value.text, others: [])
    }
    let width = below.map { $0.path.count + Declaration.yaml($0.value).count }.max() ?? 0
    return below.map { declaration in
      let head = "\(declaration.path): \(Declaration.yaml(declaration.value))"
      let gap = String(repeating: " ", count: max(0, min(width, 48) + 4 - head.count))
      return "\(head)\(gap)  # \(declaration.meaning)"
    }.joined(separator: "\n")
  }

  private static func explanation(of declaration: Declaration) -> String {
    var lines = [
      "\(declaration.path): \(Declaration.yaml(declaration.value))",
      "  meaning  \(declaration.meaning)",
      "  from     \(declaration.origin ?? "the default")",
      "  type     \(declaration.type)",
    ]
    if !declaration.allowed.isEmpty { lines.append("  allowed  \(declaration.allowed)") }
    if !declaration.unit.isEmpty { lines.append("  unit     \(declaration.unit)") }
    lines.append("  default  \(Declaration.yaml(declaration.fallback))")
    return lines.joined(separator: "\n")
  }

  private static func write(_ value: JSON, indent: String, into lines: inout [String]) {
    for member in value.members ?? [] {
      if case .object = member.value {
        lines.append("\(indent)\(member.key):")
        write(member.value, indent: indent + "  ", into: &lines)
      } else {
        lines.append("\(indent)\(member.key): \(Declaration.yaml(member.value))")
      }
    }
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
