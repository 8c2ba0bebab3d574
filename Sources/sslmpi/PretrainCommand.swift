import ArgumentParser
import Basics
import Foundation
import Settings
import Training

/// What `pretrain` and `trace-step` say about the run besides its settings.
struct RunOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "auto goes on from the newest checkpoint that verifies, never starts anew, a file is gone on from.",
      valueName: "auto|never|file"))
  var resume = "never"

  @Option(help: ArgumentHelp("Take weights, and only weights, from this checkpoint.", valueName: "file"))
  var initFrom: String?

  @Option(help: ArgumentHelp("Run this stage alone, for a method of several stages.", valueName: "name"))
  var stage: String?

  @Flag(name: .shortAndLong, help: "No progress on the terminal; messages and metrics.jsonl stay.")
  var quiet = false

  @Flag(name: .shortAndLong, help: "Progress at every step (log.every=\"1 step\").")
  var verbose = false

  /// The options of a launch.
  ///
  /// - Parameter directory: of the run; `$SSLMPI_OUT` when nil.
  func launch(_ configuration: ConfigurationOptions, directory: String?) -> LaunchOptions {
    var options = LaunchOptions(
      configFiles: configuration.files, preset: configuration.preset, overrides: configuration.overrides)
    options.out = directory ?? ProcessInfo.processInfo.environment["SSLMPI_OUT"].flatMap { $0.isEmpty ? nil : $0 }
    if verbose { options.overrides.insert("--verbose log.every=1 step", at: 0) }
    switch resume {
    case "auto": options.resume = .auto
    case "never": options.resume = .never
    default: options.resume = .file(resume)
    }
    options.initFrom = initFrom
    options.stage = stage
    options.quiet = quiet
    return options
  }

  mutating func validate() throws {
    if initFrom != nil, resume != "never" {
      throw ValidationError("--init-from starts a new run from weights, --resume goes on with one: give only one.")
    }
  }
}

/// `sslmpi pretrain`: parse, hand over to `PretrainSession`, end with its code.
struct PretrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pretrain",
    abstract: "Pre-trains a Vision Transformer.",
    discussion: """
      sslmpi pretrain --preset demo --out runs/demo
      mpirun -n 8 sslmpi pretrain my.yaml --data ~/photos --out runs/photos
      """)

  @OptionGroup var configuration: ConfigurationOptions
  @OptionGroup var start: RunOptions

  @Option(help: ArgumentHelp("The run directory; $SSLMPI_OUT, else runs/<name>.", valueName: "dir"))
  var out: String?

  @Flag(help: "Replace a run that is already there; with --stage that stage of it.")
  var overwrite = false

  @Option(help: ArgumentHelp("Save and stop with exit 75 after this long (H:M:S).", valueName: "time"))
  var timeLimit: String?

  @Flag(help: "Check everything, print what would run, write nothing.")
  var dryRun = false

  func validate() throws {
    if let timeLimit, durationInSeconds(timeLimit) == nil {
      throw ValidationError("--time-limit wants hours, minutes and seconds, for example 23:45:00, not '\(timeLimit)'.")
    }
    if overwrite, start.resume != "never" {
      throw ValidationError("--overwrite throws a run away, --resume goes on with it: give only one.")
    }
  }

  func run() throws {
    var options = start.launch(configuration, directory: out)
    options.overwrite = overwrite
    options.timeLimit = timeLimit.flatMap(durationInSeconds)
    options.dryRun = dryRun
    try PretrainSession.run(options).end()
  }
}

/// `sslmpi trace-step`: one optimiser step with all its inputs and results, for an independent program to check.
struct TraceStepCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trace-step",
    abstract: "Records one optimiser step: every input and every result, in one HDF5 file.",
    discussion: """
      sslmpi trace-step --preset mae/tiny-shapes --out step.h5 && sslmpi inspect step.h5
      sslmpi trace-step runs/demo/config.resolved.yaml --run runs/demo --stage tune --out tune.h5
      """)

  @OptionGroup var configuration: ConfigurationOptions
  @OptionGroup var start: RunOptions

  @Option(help: ArgumentHelp("The file to write.", valueName: "file"))
  var out = "step.h5"

  @Option(
    name: .customLong("run"),
    help: ArgumentHelp(
      "The run directory whose checkpoints it starts from; $SSLMPI_OUT, else runs/<name>.", valueName: "dir"))
  var directory: String?

  func run() throws {
    try StepTrace.run(start.launch(configuration, directory: directory), output: out).end()
  }
}
