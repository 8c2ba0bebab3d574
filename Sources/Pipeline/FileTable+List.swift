import Basics
import Glibc

extension FileTable {
  /// The files that a text file names: one path a line, then, if there are labels, a tab or space and the label.
  ///
  /// Paths are relative to `root`, or else to the directory of the list. A label after a space is a whole number;
  /// after a tab it may be any text, and ids then follow the byte order of the texts. Empty lines and lines that
  /// begin with # are passed over.
  init(list: String, root: String?, labels: Bool?) throws(Failure) {
    let directory = list.lastIndex(of: "/").map { String(list[...$0]) } ?? ""
    self.init(root: root ?? directory)
    switch fileKind(list) {
    case .missing: throw .dataMissing(list)
    case .directory:
      throw Failure(.inputMissing, "a directory, not a list of files", at: list, hint: "use folder:\(list)")
    case .file: break
    }
    if let root, fileKind(root) != .directory { throw .dataMissing(root) }
    let text = try readFile(list)
    guard !text.contains(0) else {
      throw Failure(.badData, "not a text file", at: list, hint: "a list has one path a line")
    }
    var words: [String] = []
    for line in text.split(whereSeparator: { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }) {
      if line.first == UInt8(ascii: "#") { continue }
      let (path, label) = Self.divide(line)
      if path.isEmpty { continue }
      append(Array(path))
      words.append(label)
    }
    guard count > 0 else {
      throw Failure(.inputMissing, "the list names no files", at: list, hint: "a list has one path a line")
    }
    if labels ?? words.contains(where: { !$0.isEmpty }) { try setLabels(words, list: list) }
  }

  private static func divide(_ line: ArraySlice<UInt8>) -> (ArraySlice<UInt8>, String) {
    let blank: (UInt8) -> Bool = { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
    let line = line.drop(while: blank)
    guard let end = line.lastIndex(where: { !blank($0) }) else { return ([], "") }
    let trimmed = line[...end]
    if let tab = trimmed.lastIndex(of: UInt8(ascii: "\t")) {
      return (trimmed[..<tab], String(decoding: trimmed[(tab + 1)...], as: UTF8.self))
    }
    if let space = trimmed.lastIndex(of: UInt8(ascii: " ")) {
      let word = String(decoding: trimmed[(space + 1)...], as: UTF8.self)
      if Int32(word) != nil { return (trimmed[..<space], word) }
    }
    return (trimmed, "")
  }

  private mutating func setLabels(_ words: [String], list: String) throws(Failure) {
    let given = words.filter { !$0.isEmpty }
    guard !given.isEmpty else {
      throw Failure(
        .badData, "labels are asked for, but the list has none", at: list,
        hint: "write the label after the path and a tab, or set data.labels: false")
    }
    let numbers = given.compactMap { Int32($0) }
    if numbers.count == given.count, let top = numbers.max(), let bottom = numbers.min() {
      guard bottom >= -1, top < 1 << 20 else {
        throw Failure(.badData, "labels reach from \(bottom) to \(top)", at: list, hint: "labels count from 0")
      }
      setLabels(words.map { Int32($0) ?? -1 }, classNames: (0..<max(Int(top) + 1, 0)).map(String.init))
    } else {
      let names = Set(given).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
      let ids = Dictionary(uniqueKeysWithValues: zip(names, Int32(0)...))
      setLabels(words.map { ids[$0] ?? -1 }, classNames: names)
    }
  }
}
