import Basics

/// The settings of a run, stage by stage. A run of a method without stages has one, which is the run itself.
///
/// The settings of a stage are those of all layers in their order, and within a layer those of the whole run, then
/// those of the stage: an override for the whole run changes all stages, whatever the files say about one.
public final class StagedSettings {
  /// One stage.
  public struct Stage {
    /// What is set for it alone besides the settings that every run has.
    public let settings: StageSettings
    /// All its settings.
    public let tree: SettingsTree
    /// The name.
    public var name: String { settings.name }
  }

  /// The stages in the order in which they run.
  public let stages: [Stage]
  /// All stages of the method, whether the run has them or not.
  public let known: [String]
  private let whole: SettingsTree

  /// Cuts the settings into stages.
  ///
  /// - Parameters:
  ///   - method: the name of the method.
  ///   - names: its stages in the order in which they run when the settings list none; empty when it has none.
  /// - Throws: bad config for a stage that the method does not have, or that has no place in the run.
  public init(_ whole: SettingsTree, method: String, stages names: [String]) throws(Failure) {
    self.whole = whole
    known = names
    guard !names.isEmpty else {
      try whole.rejectStages(method)
      stages = [Stage(settings: StageSettings(name: method), tree: whole)]
      return
    }
    var order = names
    var isListed = false
    for layer in whole.layers {
      if let listed = layer.listedStages {
        order = listed.map(\.name)
        isListed = true
      }
      for (name, place) in layer.mentionedStages {
        guard names.contains(name) else { throw .unknownStage(name, of: method, among: names, at: place) }
        guard !isListed || order.contains(name) else {
          throw Failure(
            .badConfig, "keys for the stage '\(name)', which this run does not have", at: place,
            hint: "it has \(order.joined(separator: ", ")): add it to 'stages', or remove the keys")
        }
      }
      for (path, leaf) in layer.general(forStage: false).leaves where StagePath.isOwn(path) {
        throw Failure(
          .badConfig, "unknown key '\(path)': it belongs to a stage", at: leaf.origin,
          hint: "write for example stages.\(order.last ?? "NAME").\(path)=\(leaf.value.text)")
      }
    }
    var stages: [Stage] = []
    for (place, name) in order.enumerated() {
      let tree = whole.settings(ofStage: name)
      let settings = try StageSettings(
        name: name, tree, earlier: Array(order[..<place]), later: Array(order[place...]), all: names)
      stages.append(Stage(settings: settings, tree: tree))
    }
    self.stages = stages
  }

  /// Whether the method has stages.
  public var isStaged: Bool { !known.isEmpty }

  /// Reports what was written but is no key of any stage; call it when every stage has read its keys.
  ///
  /// - Throws: bad config with file and line, the key and the nearest known one.
  public func finish() throws(Failure) {
    guard isStaged else { return try whole.finish() }
    let trees = stages.map(\.tree)
    for tree in trees {
      let own = try tree.unknownKeys(where: tree.isOfStage)
      if let failure = own.failure(in: [tree], others: trees.filter { $0 !== tree }) { throw failure }
    }
    // What is set for the whole run need not mean something to every stage.
    var common: [String: String]?
    for tree in trees {
      let found = try tree.unknownKeys { !tree.isOfStage($0) }.places
      common = common?.filter { found[$0.key] != nil } ?? found
    }
    if let failure = UnknownKeys(places: common ?? [:]).failure(in: trees) { throw failure }
  }

  /// Every key with its value: those that all stages share, then under `stages` what differs.
  public var resolvedJSON: JSON {
    guard isStaged else { return whole.resolvedJSON }
    let lists = stages.map { stage in
      JSON.object(
        [("name", .string(stage.name))]
          + (JSON.nested(own(stage).map { ($0.path, $0.value) }).members?.map { ($0.key, $0.value) } ?? []))
    }
    let top = JSON.nested(shared.map { ($0.path, $0.value) }).members?.map { ($0.key, $0.value) } ?? []
    return .object(top + [("stages", .array(lists))])
  }

  /// The same as a file that runs the same.
  public var resolvedYAML: String { resolvedJSON.yaml }

  /// What a key or section is in each stage: once where the stages agree, else one by one.
  ///
  /// - Parameter key: as in a file or an override: `optim.lr`, `stages.tune.optim.lr`, `stages.tune`, `stages`; empty
  ///   for everything.
  /// - Throws: bad config with the nearest key when there is none of this name.
  public func explain(_ key: String) throws(Failure) -> String {
    guard isStaged else { return try whole.explain(key) }
    if let place = StagePath(key) { return try explain(place) }
    let key = SettingsTree.canonical(key)
    let inStages = key.isEmpty || key == StagePath.section
    let common = key == StagePath.section ? [] : shared.filter { $0.path == key || isBelow($0.path, key) }
    let single = stages.flatMap { stage in
      own(stage).filter { inStages || $0.path == key || isBelow($0.path, key) }.map {
        (name: StagePath.spelled($0.path, of: stage.name), declaration: $0)
      }
    }
    let rows = common.map { (name: $0.path, declaration: $0) } + single
    guard let first = rows.first else {
      throw .unknownKey(
        key, at: nil, candidates: stages.flatMap { $0.tree.keys + $0.tree.sectionPaths }, method: whole.methodName,
        others: [])
    }
    guard first.declaration.path == key else { return Declaration.list(rows) }
    return rows.map { $0.declaration.explanation(named: $0.name) }.joined(separator: "\n")
  }

  private func explain(_ place: StagePath) throws(Failure) -> String {
    guard let stage = stages.first(where: { $0.name == place.stage }) else {
      throw .unknownStage(place.stage, of: whole.methodName ?? "the method", among: stages.map(\.name), at: nil)
    }
    let key = SettingsTree.canonical(StagePath.shortForms[place.key] ?? place.key)
    func spelled(_ key: String) -> String { StagePath.spelled(key, of: stage.name) }
    if let declaration = stage.tree.declaration(of: key) { return declaration.explanation(named: spelled(key)) }
    let below = stage.tree.declarations.filter { key.isEmpty || isBelow($0.path, key) }
    guard !below.isEmpty else {
      throw .unknownKey(
        key, spelled: spelled(key), at: nil, candidates: stage.tree.keys + stage.tree.sectionPaths,
        method: whole.methodName, others: [])
    }
    return Declaration.list(below.map { (spelled($0.path), $0) })
  }

  private func isBelow(_ path: String, _ section: String) -> Bool { section.isEmpty || path.hasPrefix(section + ".") }

  /// The keys that all stages have with one value.
  private var shared: [Declaration] {
    guard let first = stages.first else { return [] }
    return first.tree.declarations.filter { declaration in
      !StagePath.isOwn(declaration.path)
        && stages.dropFirst().allSatisfy { $0.tree.declaration(of: declaration.path)?.value == declaration.value }
    }
  }

  /// The keys of a stage that are not shared.
  private func own(_ stage: Stage) -> [Declaration] {
    let common = Set(shared.map(\.path))
    return stage.tree.declarations.filter { !common.contains($0.path) }
  }
}

extension Failure {
  /// The name of a stage that a method does not have.
  public static func unknownStage(
    _ name: String, of method: String, among names: [String], at place: String?
  ) -> Failure {
    let nearest = nearestName(to: name, among: names).map { "did you mean '\($0)'? " } ?? ""
    let known = names.isEmpty ? "it has no stages" : "its stages are \(names.joined(separator: ", "))"
    return Failure(
      .badConfig, "\(method) has no stage named '\(name)'", at: place, hint: nearest + known)
  }
}
