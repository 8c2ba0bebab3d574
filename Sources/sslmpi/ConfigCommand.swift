import ArgumentParser
import Basics
import Evaluation
import Messaging
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
      try ConfigCommand.read(configuration) { settings in
        Output.result(json ? settings.resolvedJSON.line : String(settings.resolvedYAML.dropLast()))
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
        sslmpi config explain stages.tune.optim.base_lr my-stages.yaml
        """)

    @Argument(help: "A key or a section, also of a protocol of eval; all keys of a run when it is left out.")
    var key = ""
    @OptionGroup var configuration: ConfigurationOptions

    func run() throws {
      let top = key.prefix { $0 != "." }
      if EvaluatorRegistry.all.contains(where: { $0.name == top }) {
        var request = EvaluationRequest(name: key)
        request.overrides = configuration.overrides
        return Output.result(try EvaluationSession.explain(request))
      }
      try ConfigCommand.read(configuration) { settings throws(Failure) in Output.result(try settings.explain(key)) }
    }
  }

  /// Reads the settings the way a run does, so that every key is known, the method's too.
  private static func read(_ options: ConfigurationOptions, _ show: (StagedSettings) throws -> Void) throws {
    let launch = LaunchOptions(configFiles: options.files, preset: options.preset, overrides: options.overrides)
    try Session.run { world in
      try show(RunPlan(launch, world.communicator, isTemplate: true).settings)
      return .done
    }.end()
  }
}
