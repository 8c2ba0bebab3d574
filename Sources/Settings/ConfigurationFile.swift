import Basics
import Foundation

/// A configuration file and the files it extends.
struct ConfigurationFile {
  /// The chain named by `extends`, the root first, then the file itself.
  let layers: [Layer]

  /// Reads a file and what it extends.
  ///
  /// - Throws: input missing, bad YAML, or a file that extends itself.
  init(path: String) throws(Failure) {
    var chain: [Layer] = []
    var visited: [String] = []
    var next: (path: String, place: String?)? = (path, nil)
    while let (path, place) = next {
      let real = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
      guard !visited.contains(real) else {
        let names = (visited + [real]).map { URL(fileURLWithPath: $0).lastPathComponent }
        throw Failure(
          .badConfig, "files extend each other in a circle: \(names.joined(separator: " -> "))", at: place,
          hint: "remove one of the 'extends' lines")
      }
      visited.append(real)
      var layer = try Layer(yaml: ConfigurationFile.text(at: path, named: place), name: path)
      next = nil
      if let base = layer.remove("extends") {
        guard case .scalar(let name, _) = base.value, !base.value.isNull else {
          throw Failure(.badConfig, "'extends' must name one file", at: base.origin)
        }
        let directory = URL(fileURLWithPath: path).deletingLastPathComponent()
        next = (name.hasPrefix("/") ? name : directory.relativePath + "/" + name, base.origin)
      }
      chain.insert(layer, at: 0)
    }
    layers = chain
  }

  private static func text(at path: String, named place: String?) throws(Failure) -> String {
    let files = FileManager.default
    var isDirectory: ObjCBool = false
    guard files.fileExists(atPath: path, isDirectory: &isDirectory), !isDirectory.boolValue else {
      let missing = "no such configuration file: \(path)"
      throw Failure(
        .inputMissing, isDirectory.boolValue ? "\(path) is a directory, not a configuration file" : missing, at: place,
        hint: "sslmpi list presets shows the ones that come with the program; an override is written key=value")
    }
    guard let bytes = files.contents(atPath: path) else {
      throw Failure(.permission, "cannot read the configuration file", at: path)
    }
    guard let text = String(bytes: bytes, encoding: .utf8) else {
      throw Failure(.badData, "the configuration file is not UTF-8 text", at: path)
    }
    return text
  }
}
