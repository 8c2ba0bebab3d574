import ArgumentParser
import Basics
import Messaging
import Methods
import Settings
import Training

/// `sslmpi config`: what the settings are and what they mean, without training.
struct ConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Prints or explains settings.", subcommands: [Print.self, Explain.self])

  /// `sslmpi config print`
  struct Print: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Prints every key with its value: a file that runs the same.",
      discussion: "sslmpi config print --preset demo train.epochs=3 > my.yaml")

    @OptionGroup var configuration: ConfigurationOptions
    @Flag(help: "One JSON object.") var json = false

    func run() throws {
      try ConfigCommand.read(configuration) { tree in
        Output.result(json ? tree.resolvedJSON.line : String(tree.resolvedYAML.dropLast()))
      }
    }
  }

  /// `sslmpi config explain`
  struct Explain: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Says what a key means, what it may be, and where its value comes from.",
      discussion: """
        sslmpi config explain optim.base_lr --preset demo
        sslmpi config explain train
        """)

    @Argument(help: "A key or a section; all keys when it is left out.")
    var key = ""
    @OptionGroup var configuration: ConfigurationOptions

    func run() throws {
      try ConfigCommand.read(configuration) { tree throws(Failure) in Output.result(try tree.explain(key)) }
    }
  }

  /// Reads the settings the way a run does, so that every key is known, the method's too.
  private static func read(_ options: ConfigurationOptions, _ show: (SettingsTree) throws -> Void) throws {
    let tree = try options.tree()
    let settings = try RunSettings(from: tree, isTemplate: true)
    try Session.run { world in
      let type = try MethodRegistry.type(named: settings.method)
      let context = try MethodContext(
        settings: settings, section: tree.section(settings.method), communicator: world.communicator)
      _ = try type.init(context)
      try tree.finish()
      try show(tree)
      return .done
    }.end()
  }
}
