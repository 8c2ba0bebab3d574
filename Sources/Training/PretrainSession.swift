import Basics
import Foundation
import Messaging
import Settings
import Storage

/// `sslmpi pretrain`: from options to an exit code.
public enum PretrainSession {
  /// Trains, resumes or dry-runs what the options describe.
  ///
  /// - Collective: every process of the launch calls it once.
  public static func run(_ options: LaunchOptions) -> ExitCode {
    Session.run { world in
      StopSignal.install()
      let communicator = world.communicator
      let experiment = try Experiment.build(options, communicator)
      world.watch(hangTimeout: experiment.settings.runtime.hangTimeout)
      let console = Console(speaks: communicator.rank == 0 && !options.quiet)
      let path = experiment.path
      if options.dryRun {
        console.result(RunHeader.text(experiment, directory: path, firstStep: 0))
        console.result("dry run: nothing was written")
        return .done
      }
      let directory = try communicator.together {
        communicator.rank == 0 ? try claim(path, experiment, options, hosts: world.hostNames) : nil
      }
      let observer = Observer(experiment, directory: directory, console: console)
      let store = CheckpointStore(experiment, run: path)
      return try Trainer(experiment, options, observer, store).run()
    }
  }

  /// Makes the run directory and writes down what is known before the first step. Rank 0 only.
  private static func claim(
    _ path: String, _ experiment: Experiment, _ options: LaunchOptions, hosts: [String]
  ) throws -> RunDirectory {
    let directory = try RunDirectory(path: path, resuming: options.resume != .never, overwrite: options.overwrite)
    let preset = try options.preset.map { try Presets.path(of: $0) }
    let sources = try ([preset].compactMap { $0 } + options.configFiles).map { file in
      "# \(file)\n" + (try String(contentsOfFile: file, encoding: .utf8))
    }
    try directory.write(
      sources.joined(separator: "\n") + options.overrides.map { "# override: \($0)\n" }.joined(), to: "config.yaml")
    try directory.write(experiment.resolved.resolvedYAML, to: "config.resolved.yaml")
    try directory.write(CommandLine.arguments.joined(separator: " ") + "\n", to: "command.txt")
    try directory.write(RunHeader.environment(experiment, hosts: hosts), to: "env.json")
    if let record = experiment.products.record { try directory.write(record + "\n", to: ProductChoice.fileName) }
    return directory
  }
}

/// The life of one process of a launch: start MPI, work, print one message when it fails, end with the right code.
public enum Session {
  /// Runs `body` in the world of all ranks.
  ///
  /// A `Failure` that leaves `body` was agreed on: every rank has it, rank 0 prints it and all end in order. A lost
  /// peer or an unexpected error is printed by the rank that met it, which ends the whole job.
  public static func run(_ body: (World) throws -> ExitCode) -> ExitCode {
    let world: World
    do {
      world = try World.start()
    } catch {
      print(error.description)
      return error.code
    }
    let rank = world.communicator.rank
    do {
      try H5File.startLibrary(on: world.communicator)
      let code = try body(world)
      world.finish()
      return code
    } catch let failure as Failure where failure.code != .rankLost && failure.code != .internalError {
      if rank == 0 { print(failure.description) }
      world.finish()
      return failure.code
    } catch {
      let code = (error as? Failure)?.code ?? .internalError
      print("rank \(rank) on \(Versions.host): \(error)")
      World.abort(code)
    }
  }

  private static func print(_ text: String) {
    FileHandle.standardError.write(Data((text + "\n").utf8))
  }
}
