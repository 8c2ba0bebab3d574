import Basics
import Foundation

/// Expected values made by a script of `tools/golden/`, kept as `Tests/Goldens/NAME.json`.
///
/// A key holds either a number or `{"shape": [...], "values": [...]}`.
public struct Golden {
  private let root: JSON
  private let name: String

  /// Reads `Tests/Goldens/NAME.json`; stops the test when it is missing or damaged.
  public static func load(_ name: String) -> Golden {
    do {
      return Golden(root: try JSON.parse(String(contentsOfFile: path("\(name).json"), encoding: .utf8)), name: name)
    } catch {
      preconditionFailure("golden \(name): \(error)")
    }
  }

  /// The path of a file in `Tests/Goldens`.
  public static func path(_ file: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Goldens/\(file)").path
  }

  /// The keys in the order of the file.
  public var keys: [String] { (root.members ?? []).map(\.key) }

  /// The values of an array, flat, row-major.
  public func floats(_ key: String) -> [Float] { values(key).map { Float($0.doubleValue ?? .nan) } }

  /// The values of an array, flat, row-major, in double precision.
  public func doubles(_ key: String) -> [Double] { values(key).map { $0.doubleValue ?? .nan } }

  /// The values of an array of whole numbers.
  public func ints(_ key: String) -> [Int] {
    values(key).map { value in
      guard let whole = value.intValue else { preconditionFailure("golden \(name): \(key) holds \(value.line)") }
      return whole
    }
  }

  /// The shape of an array.
  public func shape(_ key: String) -> [Int] { (entry(key)["shape"]?.arrayValue ?? []).compactMap(\.intValue) }

  /// A single number.
  public func number(_ key: String) -> Double {
    guard let value = entry(key).doubleValue else { preconditionFailure("golden \(name): \(key) is no number") }
    return value
  }

  /// A single text.
  public func text(_ key: String) -> String {
    guard let value = entry(key).stringValue else { preconditionFailure("golden \(name): \(key) is no text") }
    return value
  }

  private func values(_ key: String) -> [JSON] {
    guard let values = entry(key)["values"]?.arrayValue else {
      preconditionFailure("golden \(name): \(key) is no array")
    }
    return values
  }

  private func entry(_ key: String) -> JSON {
    guard let entry = root[key] else { preconditionFailure("golden \(name) has no \(key); it has \(keys)") }
    return entry
  }
}

/// Reproducible test values.
public enum ExactRandom {
  /// `count` numbers in [-1, 1).
  public static func floats(_ count: Int, seed: UInt64) -> [Float] {
    var stream = RandomStream(seed: seed, purpose: .probe)
    return (0..<count).map { _ in Float(stream.uniform(-1..<1)) }
  }
}
