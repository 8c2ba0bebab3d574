import Basics
import Settings

/// The methods this program knows. Adding one is one line in `all`.
public enum MethodRegistry {
  /// Every method, in the order of `sslmpi list methods`.
  public static var all: [any Method.Type] {
    [
      MAE.self
    ]
  }

  /// The names that configuration files may use.
  public static var names: [String] { all.map { $0.name } }

  /// The type of a method.
  ///
  /// - Throws: bad config, with the nearest name, when there is none.
  public static func type(named name: String) throws(Failure) -> any Method.Type {
    guard let type = all.first(where: { $0.name == name }) else {
      throw .unknownName(name, of: "method", among: names)
    }
    return type
  }

  /// Makes a method by name; its parameters are declared in `context.builder`.
  ///
  /// - Throws: bad config when the name or a setting of the method is wrong.
  public static func make(_ name: String, _ context: MethodContext) throws -> any Method {
    try type(named: name).init(context)
  }
}
