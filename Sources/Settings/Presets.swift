import Basics
import Foundation

/// The configuration files that come with the program.
///
/// They are looked for in `SSLMPI_CONFIGS`, then in `configs` next to the program, in `../share/sslmpi/configs`, and in
/// `configs` of the directories above the program, where a checkout has it. The working directory plays no part.
public enum Presets {
  /// The directory of presets, or nil when there is none.
  public static func directory(environment: [String: String] = ProcessInfo.processInfo.environment) -> String? {
    if let named = environment["SSLMPI_CONFIGS"], !named.isEmpty { return named }
    let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    let beside = [program.path + "/configs", program.deletingLastPathComponent().path + "/share/sslmpi/configs"]
    var above: [String] = []
    var place = program
    while place.path != "/" {
      place.deleteLastPathComponent()
      // A checkout: some other directory above may also hold something called configs.
      if FileManager.default.fileExists(atPath: place.path + "/Package.swift") { above.append(place.path + "/configs") }
    }
    return (beside + above).first { FileManager.default.fileExists(atPath: $0) }
  }

  /// The names of all presets below a directory: paths without `.yaml`, sorted.
  public static func names(in directory: String) -> [String] {
    let real = URL(fileURLWithPath: directory).resolvingSymlinksInPath().path
    let found = FileManager.default.enumerator(atPath: real)?.compactMap { $0 as? String } ?? []
    return found.filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) }.sorted()
  }

  /// The first line of comment of a preset, which says what it is.
  public static func summary(of name: String, in directory: String) -> String {
    guard let text = try? String(contentsOfFile: "\(directory)/\(name).yaml", encoding: .utf8) else { return "" }
    let first = text.split(separator: "\n", maxSplits: 1).first ?? ""
    return first.hasPrefix("#") ? first.dropFirst().trimmingCharacters(in: .whitespaces) : ""
  }

  /// The file of a preset. The last part of its name is enough when only one preset has it: `demo` for `mae/demo`.
  ///
  /// - Throws: input missing when there is none, with the nearest name; bad config when several fit.
  public static func path(
    of name: String, directory given: String? = nil,
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws(Failure) -> String {
    guard let directory = given ?? directory(environment: environment) else {
      throw Failure(
        .inputMissing, "the directory of presets was not found",
        hint: "set SSLMPI_CONFIGS to the directory 'configs' of the source tree")
    }
    let all = names(in: directory)
    if all.contains(name) { return "\(directory)/\(name).yaml" }
    let fitting = all.filter { $0.hasSuffix("/" + name) }
    if fitting.count == 1 { return "\(directory)/\(fitting[0]).yaml" }
    guard fitting.isEmpty else {
      throw Failure(
        .badConfig, "several presets are called '\(name)'", at: directory,
        hint: "write one of \(fitting.joined(separator: ", "))")
    }
    let short = all.map { $0.split(separator: "/").last.map(String.init) ?? $0 }
    let nearest = nearestName(to: name, among: all + short)
    throw Failure(
      .inputMissing, "there is no preset named '\(name)'", at: directory,
      hint: (nearest.map { "did you mean '\($0)'? " } ?? "") + "sslmpi list presets shows all")
  }
}
