import Basics
import Glibc

/// A data address taken apart: scheme, path and parameters.
struct DataAddress {
  enum Scheme: String, CaseIterable {
    case folder, list, synth
  }

  let scheme: Scheme
  let path: String
  let parameters: [String: String]
  let text: String

  /// Takes an address apart; a bare path is a folder when it is a directory and a list otherwise.
  init(_ text: String) throws(Failure) {
    self.text = text
    guard !text.isEmpty else {
      throw Failure(.inputMissing, "no data address is given", hint: "pass --data DIR or set data.train")
    }
    let words = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard words.count == 2, Self.looksLikeScheme(words[0]), fileKind(text) == .missing else {
      scheme = try Self.scheme(ofPath: text)
      path = text
      parameters = [:]
      return
    }
    guard let scheme = Scheme(rawValue: words[0]) else {
      throw .unknownName(
        words[0], kind: "data scheme", valid: Scheme.allCases.map(\.rawValue), place: text)
    }
    self.scheme = scheme
    switch scheme {
    case .folder:
      path = words[1]
      parameters = [:]
    case .list:
      (path, parameters) = try Self.parameters(words[1], valid: ["root"], place: text)
    case .synth:
      (path, parameters) = try Self.parameters(words[1], valid: TinyShapes.parameterNames, place: text)
    }
    guard !path.isEmpty else { throw Failure(.badConfig, "nothing follows \(words[0]):", at: text) }
  }

  private static func scheme(ofPath path: String) throws(Failure) -> Scheme {
    switch fileKind(path) {
    case .directory: return .folder
    case .file: return .list
    case .missing: throw .dataMissing(path)
    }
  }

  private static func looksLikeScheme(_ word: String) -> Bool {
    !word.isEmpty && word.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 }
  }

  private static func parameters(
    _ text: String, valid: [String], place: String
  ) throws(Failure) -> (String, [String: String]) {
    guard let mark = text.lastIndex(of: "?") else { return (text, [:]) }
    var found: [String: String] = [:]
    for item in text[text.index(after: mark)...].split(separator: "&") {
      let pair = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard valid.contains(pair[0]) else {
        throw .unknownName(pair[0], kind: "parameter", valid: valid, place: place)
      }
      guard pair.count == 2, !pair[1].isEmpty else {
        throw Failure(.badConfig, "parameter \(pair[0]) has no value", at: place)
      }
      guard found.updateValue(pair[1], forKey: pair[0]) == nil else {
        throw Failure(.badConfig, "parameter \(pair[0]) is given twice", at: place)
      }
    }
    return (String(text[..<mark]), found)
  }
}

enum FileKind {
  case missing, file, directory
}

/// What a path leads to, links followed.
func fileKind(_ path: String) -> FileKind {
  var status = stat()
  guard stat(path, &status) == 0 else { return .missing }
  return status.st_mode & S_IFMT == S_IFDIR ? .directory : .file
}

extension Failure {
  /// A data path that leads nowhere.
  static func dataMissing(_ path: String) -> Failure {
    let parent = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    let exists = parent.isEmpty || fileKind(parent) == .directory
    return Failure(
      .inputMissing, "the data path does not exist", at: path,
      hint: exists
        ? "check the spelling; every rank must see the same path"
        : "\(parent) does not exist either: is the file system mounted on this node?")
  }

  /// A name outside of a closed set, with the nearest valid one.
  static func unknownName(_ name: String, kind: String, valid: [String], place: String) -> Failure {
    let nearest = valid.min { editDistance(name, $0) < editDistance(name, $1) }
    let suggestion = nearest.map { editDistance(name, $0) <= 3 ? "did you mean \($0)? " : "" } ?? ""
    return Failure(
      .badConfig, "unknown \(kind) \"\(name)\"", at: place, hint: "\(suggestion)valid: \(valid.joined(separator: ", "))"
    )
  }
}

/// Insertions, deletions and replacements between two words.
private func editDistance(_ a: String, _ b: String) -> Int {
  let target = Array(b)
  var row = Array(0...target.count)
  for (i, letter) in a.enumerated() {
    var diagonal = row[0]
    row[0] = i + 1
    for (j, other) in target.enumerated() {
      let replaced = diagonal + (letter == other ? 0 : 1)
      diagonal = row[j + 1]
      row[j + 1] = min(replaced, row[j] + 1, diagonal + 1)
    }
  }
  return row[target.count]
}
