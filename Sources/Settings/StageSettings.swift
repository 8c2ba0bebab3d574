import Basics

/// What a stage takes its first weights from.
public enum StageOrigin: Equatable, Sendable {
  /// Nothing: it starts from scratch.
  case nothing
  /// The newest checkpoint of another stage of the run.
  case stage(String)
  /// A checkpoint, or the newest one of a run directory.
  case path(String)
}

/// Which part of the encoder is not trained.
public enum Freeze: Equatable, Sendable {
  /// None.
  case none
  /// All of it.
  case encoder
  /// Patch embedding, class tokens and the lower half of the blocks.
  case lowerHalf
  /// Patch embedding, class tokens and so many blocks, from the lowest.
  case lowerBlocks(Int)
}

/// What is set for one stage besides the settings that every run has.
public struct StageSettings: Sendable {
  /// The name; that of the method when it has no stages.
  public let name: String
  /// Where the first weights come from.
  public let from: StageOrigin
  /// What is not trained; nil leaves it to the stage.
  public let freeze: Freeze?

  /// A run without stages: it trains everything, from scratch.
  public init(name: String) {
    self.name = name
    from = .nothing
    freeze = nil
  }

  /// Reads the keys that only stages have.
  ///
  /// - Parameters:
  ///   - earlier: the stages of the run before this one.
  ///   - later: this one and those after it.
  ///   - all: all stages of the method.
  init(
    name: String, _ tree: SettingsTree, earlier: [String], later: [String], all: [String]
  ) throws(Failure) {
    self.name = name
    let root = tree.section("")
    let from = try root.optionalPath(
      "from", default: earlier.last, isData: false,
      "a stage, a checkpoint or a run directory to take weights from; null starts from scratch")
    if let from, all.contains(from) {
      guard !later.contains(from) else {
        throw root.failure(
          "from", "the stage '\(name)' starts from '\(from)', which " + (from == name ? "it is itself" : "comes later"),
          hint: "stages run in the order \((earlier + later).joined(separator: ", "))")
      }
      self.from = .stage(from)
    } else {
      self.from = from.map { .path($0) } ?? .nothing
    }
    freeze = try StageSettings.freeze(root)
  }

  private static func freeze(_ root: Section) throws(Failure) -> Freeze? {
    let meaning = "what is not trained: the encoder, its lower half, or {blocks: [0, 1, ...]}; auto is the stage's own"
    guard root.isSection("freeze") else {
      switch try root.choice("freeze", default: "auto", ["auto", "none", "encoder", "lower_half"], meaning) {
      case "none": return Freeze.none
      case "encoder": return .encoder
      case "lower_half": return .lowerHalf
      default: return nil
      }
    }
    let section = root.section("freeze")
    let blocks = try section.ints("blocks", default: [0], in: 0...65535, "lower blocks that are not trained, from 0")
    guard blocks.sorted() == Array(0..<blocks.count) else {
      let found = blocks.map(String.init).joined(separator: ", ")
      throw section.failure(
        "blocks", "freeze.blocks must be the lowest blocks without a gap, found [\(found)]",
        hint: "a block can only be frozen with all below it: write [0, 1, ..., n]")
    }
    return .lowerBlocks(blocks.count)
  }
}
