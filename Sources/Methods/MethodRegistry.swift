import Basics
import Settings

/// The methods this program knows. Adding one is one line in `all`.
public enum MethodRegistry {
  /// A method by its name in configuration files: one type, or stages that follow each other, each with its type.
  public struct Entry {
    /// The name in configuration files.
    public let name: String
    /// The stages in their order; empty for a method of one type.
    public let stages: [(name: String, type: any Method.Type)]
    private let single: (any Method.Type)?

    /// A method of one type, whose name it has.
    public init(_ type: any Method.Type) {
      name = type.name
      stages = []
      single = type
    }

    /// A method of stages.
    public init(_ name: String, stages: [(name: String, type: any Method.Type)]) {
      precondition(!stages.isEmpty, "MethodRegistry: \(name) has no stage")
      self.name = name
      self.stages = stages
      single = nil
    }

    /// The types that serve the method, each once.
    public var types: [any Method.Type] {
      let all = (single.map { [$0] } ?? []) + stages.map(\.type)
      return all.enumerated().filter { place, type in !all[..<place].contains { $0 == type } }.map(\.element)
    }

    /// The type that serves a stage; for a method of one type always that one.
    ///
    /// - Throws: bad config, with the nearest name, when there is no such stage.
    public func type(of stage: String) throws(Failure) -> any Method.Type {
      if let type = single ?? stages.first(where: { $0.name == stage })?.type { return type }
      throw .unknownStage(stage, of: name, among: stages.map(\.name), at: nil)
    }
  }

  /// Every method, in the order of `sslmpi list methods`.
  public static var all: [Entry] {
    [
      Entry(MAE.self),
      Entry(
        ContrastiveTuning.name,
        stages: [("mae", MAE.self), ("head", ContrastiveTuning.self), ("tune", ContrastiveTuning.self)]),
    ]
  }

  /// The names that configuration files may use.
  public static var names: [String] { all.map(\.name) }

  /// A method by its name.
  ///
  /// - Throws: bad config, with the nearest name, when there is none.
  public static func entry(named name: String, among all: [Entry] = all) throws(Failure) -> Entry {
    guard let entry = all.first(where: { $0.name == name }) else {
      throw .unknownName(name, of: "method", among: all.map(\.name))
    }
    return entry
  }

  /// Makes a method by name, for the stage of `context`; its parameters are declared in `context.builder`.
  ///
  /// - Throws: bad config when the name, the stage or a setting of the method is wrong.
  public static func make(_ name: String, _ context: MethodContext) throws -> any Method {
    try entry(named: name).type(of: context.stage).init(context)
  }
}
