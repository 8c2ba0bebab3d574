/// A key of one stage as it stands in a layer: `stages.tune.optim.lr` is `optim.lr` of the stage `tune`.
struct StagePath {
  /// The section that holds the stages.
  static let section = "stages"
  /// Keys of a stage that stand for a key of a section.
  static let shortForms = ["epochs": "train.epochs", "max_steps": "train.max_steps"]
  /// Keys that only a stage has.
  static let own = ["from", "freeze"]
  /// Keys that are the same for the whole run.
  private static let shared = ["name", "method", "stages", "extends"]

  let stage: String
  /// Empty for the stage itself.
  let key: String

  /// Nil for a key that belongs to no stage.
  init?(_ path: String) {
    let parts = path.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
    guard parts.count > 1, parts[0] == StagePath.section else { return nil }
    stage = parts[1]
    key = parts.count > 2 ? parts[2] : ""
  }

  /// The key in a stage, with the name of the stage in front.
  static func spelled(_ key: String, of stage: String) -> String { "\(section).\(stage).\(key)" }

  /// Whether a stage may have this name, which is also that of a directory.
  static func canName(_ text: String) -> Bool {
    !text.isEmpty && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "_-".contains($0)) }
  }

  /// Whether a key is one that no stage has for itself.
  static func isShared(_ key: String) -> Bool { shared.contains(firstPart(key)) }

  /// Whether a key is one that only stages have.
  static func isOwn(_ key: String) -> Bool { own.contains(firstPart(key)) }

  private static func firstPart(_ key: String) -> String { String(key.prefix { $0 != "." }) }
}

/// What one source says about the whole run, or about one stage.
struct LayerPart {
  var leaves: [(path: String, leaf: Leaf)] = []
  var sections: [(path: String, origin: String)] = []

  /// Whether a key is given a value other than null.
  func sets(_ path: String) -> Bool { leaves.contains { $0.path == path && !$0.leaf.value.isNull } }
}

extension Layer {
  /// What is said about the whole run.
  ///
  /// - Parameter forStage: leaves out what only a stage has.
  func general(forStage: Bool) -> LayerPart {
    func belongs(_ path: String) -> Bool {
      path != StagePath.section && StagePath(path) == nil && !(forStage && StagePath.isOwn(path))
    }
    return LayerPart(leaves: leaves.filter { belongs($0.path) }, sections: sections.filter { belongs($0.path) })
  }

  /// What is said about one stage.
  func part(of stage: String) -> LayerPart {
    func key(_ path: String) -> String? {
      StagePath(path).flatMap { $0.stage == stage && !$0.key.isEmpty ? $0.key : nil }
    }
    return LayerPart(
      leaves: leaves.compactMap { path, leaf in key(path).map { ($0, leaf) } },
      sections: sections.compactMap { path, origin in key(path).map { ($0, origin) } })
  }

  /// The stages that are named here, listed or with a key of theirs, in the order of writing.
  var mentionedStages: [(name: String, origin: String)] {
    var found: [(name: String, origin: String)] = []
    let all = (listedStages ?? []).map { (StagePath.spelled("", of: $0.name), $0.origin) } + sections.map { ($0, $1) }
    for (path, origin) in all + leaves.map({ ($0.path, $0.leaf.origin) }) {
      if let stage = StagePath(path)?.stage, !found.contains(where: { $0.name == stage }) {
        found.append((stage, origin))
      }
    }
    return found
  }
}
