import Basics

/// What was written in the settings and is no key of this program.
struct UnknownKeys {
  /// Where each one was written, by its path.
  var places: [String: String] = [:]

  /// The one message about all of them; nil when there are none.
  ///
  /// - Parameters:
  ///   - trees: those in which the keys are unknown: one, or all stages of a run.
  ///   - others: further stages, which may know them.
  func failure(in trees: [SettingsTree], others: [SettingsTree] = []) -> Failure? {
    let sections = Set(trees.flatMap(\.sectionPaths))
    var faults: [String: String] = [:]
    for (path, place) in places {
      let unknown = UnknownKeys.topmost(path, sections: sections)
      faults[unknown] = trees.lazy.compactMap { $0.origin(of: unknown) }.first ?? place
    }
    let ordered = faults.sorted { ($0.value, $0.key) < ($1.value, $1.key) }
    guard let first = ordered.first, let tree = trees.first else { return nil }
    func spelled(_ key: String) -> String { trees.count == 1 ? tree.spelled(key) : key }
    let owners = others.filter { $0.declaration(of: first.key) != nil || $0.sectionPaths.contains(first.key) }
    var candidates = trees.flatMap { $0.declarations.map(\.path) } + sections
    if tree.isOfStage(first.key) { candidates += StagePath.shortForms.keys.sorted() }
    return .unknownKey(
      first.key, spelled: spelled(first.key), at: first.value, candidates: candidates, method: tree.methodName,
      stages: owners.compactMap(\.stage), others: ordered.dropFirst().map { "'\(spelled($0.key))' (\($0.value))" })
  }

  /// The first part of a path that no section holds: all of `moca.x` is unknown because `moca` is.
  private static func topmost(_ path: String, sections: Set<String>) -> String {
    var end = path.startIndex
    while let dot = path[end...].firstIndex(of: ".") {
      let head = String(path[..<dot])
      if !sections.contains(head) { return head }
      end = path.index(after: dot)
    }
    return path
  }
}
