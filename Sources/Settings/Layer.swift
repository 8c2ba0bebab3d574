import Basics
import Foundation
import Yams

/// What a file or an override says about one key, before anybody asked for a type.
enum RawValue: Equatable {
  case scalar(String, quoted: Bool)
  case list([String])

  /// `null`, `~` or nothing at all.
  var isNull: Bool {
    if case .scalar(let text, quoted: false) = self { return ["", "~", "null", "Null", "NULL"].contains(text) }
    return false
  }

  /// As it would stand in a file.
  var text: String {
    switch self {
    case .scalar(let text, let quoted): return quoted ? "\"\(text)\"" : text
    case .list(let elements): return "[" + elements.joined(separator: ", ") + "]"
    }
  }
}

/// A raw value and where it was written: `file:line`, a flag, a variable or an override.
struct Leaf: Equatable {
  let value: RawValue
  let origin: String
}

/// The keys of one source, by full path, in the order they were written.
struct Layer {
  private(set) var leaves: [(path: String, leaf: Leaf)] = []
  private(set) var sections: [(path: String, origin: String)] = []
  /// The stages in the order of the list `stages:`; nil when the source has no such list.
  private(set) var listedStages: [(name: String, origin: String)]?
  private var seen: [String: String] = [:]

  /// The keys of YAML text.
  ///
  /// - Parameters:
  ///   - name: how messages call the source.
  ///   - origin: overrides `name:line` as the place of every key.
  init(yaml: String, name: String, origin: String? = nil) throws(Failure) {
    let root: Node?
    do {
      root = try Yams.compose(yaml: yaml)
    } catch {
      throw .badYAML(error, name: name)
    }
    guard let root, !Layer.isNothing(root) else { return }
    guard let mapping = root.mapping else {
      throw Failure(
        .badConfig, "a configuration must be a list of 'key: value' lines", at: "\(name):\(root.mark?.line ?? 1)")
    }
    try add(mapping, under: "") { mark in origin ?? "\(name):\(mark?.line ?? 1)" }
  }

  /// The one key of `key.sub=value`, optionally preceded by the flag it came from: `--epochs train.epochs=5`.
  init(override: String) throws(Failure) {
    var assignment = Substring(override)
    var origin: String?
    if override.hasPrefix("--"), let space = override.firstIndex(of: " ") {
      origin = String(override[..<space])
      assignment = override[override.index(after: space)...]
    }
    guard let equals = assignment.firstIndex(of: "="), equals != assignment.startIndex else {
      throw Failure(
        .usage, "'\(override)' is not of the form key.sub=value", hint: "write for example optim.base_lr=1e-4")
    }
    let path = String(assignment[..<equals])
    let text = assignment[assignment.index(after: equals)...].trimmingCharacters(in: .whitespaces)
    guard !text.isEmpty else {
      throw Failure(.usage, "'\(path)=' has no value", hint: "write \(path)=null to switch something off")
    }
    try addParents(of: path, origin: origin ?? override)
    if let first = text.first, "[{\"'".contains(first) {
      // Only brackets and quotes need YAML; plain text such as h5:${DATA}/x.h5 is taken as it is.
      let inner = try Layer(yaml: "\(path): \(text)", name: origin ?? "command line", origin: origin ?? override)
      for (path, leaf) in inner.leaves { try add(path, leaf) }
      sections += inner.sections
      listedStages = inner.listedStages
    } else {
      try add(path, Leaf(value: .scalar(text, quoted: false), origin: origin ?? override))
    }
  }

  /// One plain value.
  init(path: String, text: String, origin: String) throws(Failure) {
    try addParents(of: path, origin: origin)
    try add(path, Leaf(value: .scalar(text, quoted: false), origin: origin))
  }

  /// Takes a key out; nil when it is not there.
  mutating func remove(_ path: String) -> Leaf? {
    guard let index = leaves.firstIndex(where: { $0.path == path }) else { return nil }
    return leaves.remove(at: index).leaf
  }

  private static func isNothing(_ node: Node) -> Bool {
    guard case .scalar(let scalar) = node else { return false }
    return scalar.style == .plain && scalar.string.isEmpty
  }

  private mutating func addParents(of path: String, origin: String) throws(Failure) {
    let parts = path.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.allSatisfy({ !$0.isEmpty }) else {
      throw Failure(.usage, "'\(path)' is not a key", at: origin, hint: "write for example optim.base_lr=1e-4")
    }
    for length in 1..<max(parts.count, 1) { sections.append((parts[..<length].joined(separator: "."), origin)) }
  }

  private mutating func add(
    _ mapping: Node.Mapping, under prefix: String, without skipped: String? = nil, origin: (Mark?) -> String
  ) throws(Failure) {
    for (keyNode, node) in mapping {
      guard let key = keyNode.scalar?.string, !key.isEmpty else {
        throw Failure(.badConfig, "a key must be plain text", at: origin(keyNode.mark))
      }
      if key == skipped { continue }
      let path = prefix.isEmpty ? key : "\(prefix).\(key)"
      let place = origin(keyNode.mark)
      if key.contains(".") { try addParents(of: path, origin: place) }
      switch node {
      case .mapping(let inner):
        sections.append((path, place))
        try add(inner, under: path, origin: origin)
      case .sequence(let sequence) where path == StagePath.section:
        try addStages(sequence, at: place, origin: origin)
      case .sequence(let sequence):
        var elements: [String] = []
        for element in sequence {
          guard let text = element.scalar?.string else {
            throw Failure(.badConfig, "'\(path)' is a list, and a list may only hold plain values", at: place)
          }
          elements.append(text)
        }
        try add(path, Leaf(value: .list(elements), origin: place))
      case .scalar(let scalar):
        let value = RawValue.scalar(scalar.string, quoted: scalar.style != .plain)
        try add(path, Leaf(value: value, origin: place))
      case .alias:
        throw Failure(.badConfig, "'\(path)' refers to an anchor that is not defined", at: place)
      }
    }
  }

  /// The list `stages:`: names, or keys of a stage with its name among them.
  private mutating func addStages(
    _ list: Node.Sequence, at place: String, origin: (Mark?) -> String
  ) throws(Failure) {
    var listed: [(name: String, origin: String)] = []
    for element in list {
      let here = origin(element.mark)
      guard let name = (element.mapping.map { $0["name"] } ?? element)?.scalar?.string, StagePath.canName(name) else {
        throw Failure(
          .badConfig, "an element of 'stages' must be a name, or the keys of a stage with 'name: NAME' among them",
          at: here, hint: "write stages: [mae, head], or below each other - name: mae, then its keys")
      }
      if let first = listed.first(where: { $0.name == name }) {
        throw Failure(
          .badConfig, "the stage '\(name)' is listed twice", at: here, hint: "the first one is at \(first.origin)")
      }
      listed.append((name, here))
      if let keys = element.mapping { try add(keys, under: "stages.\(name)", without: "name", origin: origin) }
    }
    guard !listed.isEmpty else { throw Failure(.badConfig, "'stages' lists no stage", at: place) }
    listedStages = listed
  }

  /// Refuses what cannot be said of a stage; true when there is nothing to keep.
  private mutating func isSettled(_ path: String, _ leaf: Leaf) throws(Failure) -> Bool {
    if path == StagePath.section {
      throw Failure(
        .badConfig, "'stages' must be a list, found \(leaf.value.text)", at: leaf.origin,
        hint: "write stages: [mae, head], or on the command line stages=[mae,head]")
    }
    guard let place = StagePath(path) else { return false }
    if place.key.isEmpty, leaf.value.isNull {
      sections.append((path, leaf.origin))
      return true
    }
    guard !place.key.isEmpty, !StagePath.isShared(place.key) else {
      throw Failure(
        .badConfig,
        place.key.isEmpty
          ? "'\(path)' is a stage: its keys belong below it" : "'\(path)' is the same for all stages of a run",
        at: leaf.origin, hint: "write for example stages.\(place.stage).epochs=20")
    }
    return false
  }

  private mutating func add(_ path: String, _ leaf: Leaf) throws(Failure) {
    let (path, leaf) = SettingsTree.canonical(path, leaf)
    if try isSettled(path, leaf) { return }
    if let first = seen[path] {
      throw Failure(.badConfig, "'\(path)' is set twice", at: leaf.origin, hint: "the first one is at \(first)")
    }
    seen[path] = leaf.origin
    leaves.append((path, leaf))
  }
}

extension Failure {
  /// YAML that cannot be parsed, with the line the parser names.
  static func badYAML(_ error: any Error, name: String) -> Failure {
    guard let error = error as? YamlError else { return Failure(.badConfig, "\(error)", at: name) }
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      return Failure(.badConfig, "this is not YAML: \(problem)", at: "\(name):\(mark.line)")
    case .duplicatedKeysInMapping(let keys, let context):
      return Failure(
        .badConfig, "set twice in one section: \(keys.sorted().joined(separator: ", "))",
        at: "\(name):\(context.mark.line)", hint: "remove one of the lines")
    default:
      return Failure(.badConfig, "this is not YAML: \(error)", at: name)
    }
  }
}
