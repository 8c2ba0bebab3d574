import ArgumentParser
import Basics
import Pipeline

/// `sslmpi pack`: a data source as files.
struct PackCommand: ParsableCommand {
  enum Layout: String, CaseIterable, ExpressibleByArgument {
    case folder
  }

  static let configuration = CommandConfiguration(
    commandName: "pack",
    abstract: "Writes a data source out as files.",
    discussion: "sslmpi pack \"synth:tinyshapes?n=2000&size=32\" --out shapes --as folder")

  @Argument(help: "A data address: a folder, list:FILE or synth:tinyshapes?n=2000&size=32.")
  var source: String

  @Option(help: ArgumentHelp("A directory that does not exist yet.", valueName: "dir"))
  var out: String

  @Option(name: .customLong("as"), help: "folder: DIR/images/CLASS/NAME.jpg and DIR/manifest.json.")
  var layout = Layout.folder

  func run() throws {
    guard Output.speaks else { return }
    let source = try DataSource.open(source, labels: false)
    switch layout {
    case .folder: try packAsFolder(source, to: out)
    }
    Output.result("\(source.count) images in \(out)/images")
  }
}
