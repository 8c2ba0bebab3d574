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
  /// The keys and sections that were last written for the stage, not for the whole run.
  private var ofStage: Set<String> = []
  private(set) var declarations: [Declaration] = []
  private var positions: [String: Int] = [:]
  private(set) var sectionPaths: [String] = []
  /// The same settings in the hands of readers that they are not for.
  private var companions: [SettingsTree] = []
  /// What the settings were merged from, the weakest first.
  let layers: [Layer]
  /// The stage whose settings these are; nil for those of a whole run.
  public let stage: String?
  let environment: [String: String]

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
    var layers = bases + presets + tops
    for (variable, key) in SettingsTree.variables {
      guard let text = environment[variable], !text.isEmpty else { continue }
      layers.append(try Layer(path: key, text: text, origin: variable))
    }
    for override in overrides { layers.append(try Layer(override: override)) }
    return SettingsTree(layers, environment: environment)
  }

  /// The settings written in `text` alone, for a configuration kept in a checkpoint or sent by another rank: YAML, or
  /// JSON as `resolvedJSON` gives it.
  public static func parse(_ text: String, named name: String) throws(Failure) -> SettingsTree {
    // JSON has quotes around words such as auto, which in YAML would make them text. What is no JSON is YAML, and the
    // reader of YAML says what is wrong with it.
    let yaml = text.hasPrefix("{") ? (try? JSON.parse(text))?.yaml : nil
    return SettingsTree([try Layer(yaml: yaml ?? text, name: name)], environment: [:])
  }

  /// Merges layers, later ones winning. With a stage each layer gives what it says about the whole run, then what it
  /// says about the stage: inside a layer the stage wins.
  private init(_ layers: [Layer], stage: String? = nil, environment: [String: String]) {
    self.layers = layers
    self.stage = stage
    self.environment = environment
    for layer in layers {
      apply(layer.general(forStage: stage != nil), ofStage: false)
      if let stage { apply(layer.part(of: stage), ofStage: true) }
    }
  }

  /// The settings of one stage, in which nothing is declared yet.
  public func settings(ofStage name: String) -> SettingsTree {
    SettingsTree(layers, stage: name, environment: environment)
  }

  /// The same settings for a part of the method that does not run with them.
  ///
  /// What it reads is checked, and is no unknown key here when it is written for the whole run: a run without the stage
  /// that it is for may have it all the same. What is written for this stage alone stays unknown.
  public func companion() -> SettingsTree {
    let tree = SettingsTree(layers, stage: stage, environment: environment)
    companions.append(tree)
    return tree
  }

  private func knows(_ path: String) -> Bool { positions[path] != nil || sectionPaths.contains(path) }

  /// Environment variables that stand for a key. `SSLMPI_DATA_ROOT` and others may be used as `${NAME}` in data paths.
  public static let variables: [(name: String, key: String)] = [
    ("SSLMPI_THREADS", "runtime.threads"), ("SSLMPI_ISA", "runtime.isa"),
  ]

  /// Keys that are another spelling of a key: the value gets the unit and the last one written wins.
  private static let synonyms: [String: (path: String, unit: String)] = [
    "optim.warmup_epochs": ("optim.warmup", "epochs")
  ]

  /// The name of the method, as far as it is written.
  public var methodName: String? { leaves["method"]?.value.text }

  /// The section at a dotted path, or the whole tree for an empty one.
  public func section(_ path: String) -> Section { Section(path: path, of: self) }

  // MARK: - Merging

  private func apply(_ part: LayerPart, ofStage isOfStage: Bool) {
    // A length of the stage's own replaces an inherited one of the other kind.
    let lengths = ["train.epochs", "train.max_steps"]
    if isOfStage, lengths.count(where: part.sets) == 1 {
      for length in lengths where !part.sets(length) { leaves[length] = nil }
    }
    for (path, origin) in part.sections {
      leaves[path] = nil
      written[path] = origin
      note(path, isOfStage)
    }
    for (path, leaf) in part.leaves {
      for other in leaves.keys where other.hasPrefix(path + ".") { leaves[other] = nil }
      for other in written.keys where other == path || other.hasPrefix(path + ".") { written[other] = nil }
      leaves[path] = leaf
      note(path, isOfStage)
    }
  }

  private func note(_ path: String, _ isOfStage: Bool) {
    if isOfStage { ofStage.insert(path) } else { ofStage.remove(path) }
  }

  /// The key and value that a synonym stands for; any other key as it is.
  static func canonical(_ path: String, _ leaf: Leaf) -> (String, Leaf) {
    if let place = StagePath(path) {
      let (key, leaf) = canonical(StagePath.shortForms[place.key] ?? place.key, leaf)
      return (key.isEmpty ? path : StagePath.spelled(key, of: place.stage), leaf)
    }
    guard let synonym = synonyms[path] else { return (path, leaf) }
    guard case .scalar(let text, quoted: false) = leaf.value, Double(text) != nil else { return (synonym.path, leaf) }
    return (synonym.path, Leaf(value: .scalar("\(text) \(synonym.unit)", quoted: false), origin: leaf.origin))
  }

  /// The key that a synonym stands for.
  static func canonical(_ path: String) -> String { synonyms[path]?.path ?? path }

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

  /// Whether keys are written below `path`.
  func isSection(_ path: String) -> Bool { written[path] != nil }

  /// What is declared at `path`.
  func declaration(of path: String) -> Declaration? { positions[path].map { declarations[$0] } }

  /// A key as it was written: with the name of the stage when it was written for this stage alone.
  func spelled(_ path: String) -> String {
    guard let stage, ofStage.contains(path) else { return path }
    return StagePath.spelled(path, of: stage)
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
  public func finish() throws(Failure) {
    if stage == nil { try rejectStages(methodName ?? RunSettings.defaultMethod) }
    if let failure = try unknownKeys(where: { _ in true }).failure(in: [self]) { throw failure }
  }

  /// - Throws: bad config when anything is said about a stage.
  func rejectStages(_ method: String) throws(Failure) {
    guard let first = layers.lazy.flatMap(\.mentionedStages).first else { return }
    throw Failure(
      .badConfig, "unknown key 'stages': \(method) has no stages", at: first.origin,
      hint: "remove 'stages', or take a method that has them; see sslmpi list methods")
  }

  /// The same as `finish` for all but the sections that methods own, which may not have been read yet.
  func rejectUnknownOutsideMethods() throws(Failure) {
    let own = SettingsTree.methodSections.union([methodName ?? ""])
    let unknown = try unknownKeys { path in !own.contains(String(path.prefix { $0 != "." })) }
    if let failure = unknown.failure(in: [self]) { throw failure }
  }

  /// Sections that methods own, present and planned: a left-over one gets a fitting hint.
  static let methodSections: Set<String> = [
    "mae", "mae-ct", "nnclr", "queue", "ema", "moca", "mmc", "pseudo-mae", "udi", "dino", "ibot", "stages",
  ]

  /// Whether a key was written for this stage and not for the whole run.
  func isOfStage(_ path: String) -> Bool { ofStage.contains(path) }

  /// What was written and was not read, with its place.
  ///
  /// - Throws: bad config where a value stands in the place of a section.
  func unknownKeys(where isChecked: (String) -> Bool) throws(Failure) -> UnknownKeys {
    let known = Set(sectionPaths)
    var found = UnknownKeys()
    for (path, origin) in leaves.map({ ($0.key, $0.value.origin) }) + written.map({ ($0.key, $0.value) })
    where isChecked(path) && positions[path] == nil {
      if !ofStage.contains(path), companions.contains(where: { $0.knows(path) }) { continue }
      if known.contains(path) {
        guard written[path] == nil else { continue }
        throw Failure(
          .badConfig, "'\(spelled(path))' is a section: its keys belong below it", at: origin,
          hint: "sslmpi config explain \(spelled(path)) lists them")
      }
      found.places[path] = origin
    }
    return found
  }
}
