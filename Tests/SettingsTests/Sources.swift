import Basics
import Foundation
import Settings
import TestKit
import XCTest

/// Configuration files of one test, in a directory of their own.
struct ConfigurationFolder {
  let path = temporaryDirectory("settings")

  /// Writes a file and returns its path.
  func write(_ name: String, _ text: String) throws -> String {
    let file = "\(path)/\(name)"
    try FileManager.default.createDirectory(
      atPath: URL(fileURLWithPath: file).deletingLastPathComponent().path, withIntermediateDirectories: true)
    try text.write(toFile: file, atomically: true, encoding: .utf8)
    return file
  }
}

/// The least a run needs.
let minimal = "data: {train: images}\ntrain: {epochs: 5}\n"

/// The tree of some text and overrides, without environment.
func tree(_ yaml: String = minimal, _ overrides: [String] = []) throws -> SettingsTree {
  let file = try ConfigurationFolder().write("a.yaml", yaml)
  return try SettingsTree.load(files: [file], overrides: overrides, environment: [:])
}

/// All settings of some text and overrides, unknown keys refused.
func settings(_ yaml: String = minimal, _ overrides: [String] = []) throws -> RunSettings {
  let tree = try tree(yaml, overrides)
  let settings = try RunSettings(from: tree)
  try tree.finish()
  return settings
}

/// The failure that `body` ends with.
func failure(file: StaticString = #filePath, line: UInt = #line, _ body: () throws -> Void) -> Failure {
  do {
    try body()
  } catch let failure as Failure {
    return failure
  } catch {
    XCTFail("not a Failure: \(error)", file: file, line: line)
    return Failure(.internalError, "")
  }
  XCTFail("nothing was thrown", file: file, line: line)
  return Failure(.internalError, "")
}

func expect(
  _ failure: Failure, _ words: String..., code: ExitCode = .badConfig, file: StaticString = #filePath,
  line: UInt = #line
) {
  XCTAssertEqual(failure.code, code, failure.description, file: file, line: line)
  for word in words {
    XCTAssertTrue(failure.description.contains(word), "no '\(word)' in: \(failure)", file: file, line: line)
  }
}
