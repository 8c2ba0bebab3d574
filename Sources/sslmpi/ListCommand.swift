import ArgumentParser
import Basics
import Layers
import Methods
import Settings

/// `sslmpi list`: the names that settings may use.
struct ListCommand: ParsableCommand {
  enum Kind: String, CaseIterable, ExpressibleByArgument {
    case methods, models, presets
  }

  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "Lists methods, models or presets.")

  @Argument(help: "methods, models or presets.")
  var kind: Kind

  @Flag(help: "One JSON array.")
  var json = false

  func run() throws {
    let rows = try rows()
    if json {
      Output.result(
        JSON.array(rows.map { .object([("name", .string($0.name)), ("about", .string($0.about))]) }).line)
    } else {
      let width = rows.map(\.name.count).max() ?? 0
      for row in rows {
        Output.result(row.about.isEmpty ? row.name : row.name.padded(to: width) + "  " + row.about)
      }
    }
  }

  private func rows() throws -> [(name: String, about: String)] {
    switch kind {
    case .methods:
      return MethodRegistry.all.map {
        ($0.name, $0.stages.isEmpty ? "" : "stages " + $0.stages.map(\.name).joined(separator: ", "))
      }
    case .models:
      return ViTConfiguration.names.compactMap { name in
        ViTConfiguration.named(name).map {
          (name, "width \($0.width), \($0.depth) blocks, \($0.heads) heads, \($0.tokens) patches of \($0.patch) pixels")
        }
      }
    case .presets:
      guard let directory = Presets.directory() else {
        throw Failure(
          .inputMissing, "the directory of presets was not found",
          hint: "set SSLMPI_CONFIGS to the directory 'configs' of the source tree")
      }
      return Presets.names(in: directory).map { ($0, Presets.summary(of: $0, in: directory)) }
    }
  }
}

extension String {
  /// The text with blanks behind it, `width` characters wide.
  func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
