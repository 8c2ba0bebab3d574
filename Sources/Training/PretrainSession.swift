import Basics
import Foundation
import Messaging
import Methods
import Settings
import Storage
import Tensors

/// `sslmpi pretrain`: from options to an exit code.
public enum PretrainSession {
  /// Trains, resumes or dry-runs what the options describe.
  ///
  /// - Collective: every process of the launch calls it once.
  public static func run(_ options: LaunchOptions) -> ExitCode {
    Session.run { world in
      StopSignal.install()
      return try run(options, world)
    }
  }

  /// The same in a world that is there already, with the methods that are to be known and somebody to hear what is said.
  ///
  /// - Collective: all ranks.
  static func run(
    _ options: LaunchOptions, _ world: World, methods: [MethodRegistry.Entry] = MethodRegistry.all,
    listener: ((String) -> Void)? = nil
  ) throws -> ExitCode {
    let begin = monotonicSeconds()
    let communicator = world.communicator
    let console = Console(speaks: communicator.rank == 0 && !options.quiet, listener: listener)
    let plan = try communicator.together { try RunPlan(options, communicator, methods: methods) }
    let sequence = try StageSequence(plan, options, communicator, console)
    if options.dryRun { return try dryRun(sequence, communicator, console) }
    try sequence.requireOrigins()
    let directory = try communicator.together {
      communicator.rank == 0 ? try claim(plan, sequence.stages, options) : nil
    }
    var hasTrained = false
    while let due = try sequence.next() {
      hasTrained = true
      let limit = options.timeLimit ?? due.stage.settings.runtime.timeLimit
      let deadline = Deadline(timeLimit: limit, deadline: environmentNumber("SSLMPI_DEADLINE"), start: begin)
      let code = try train(due, sequence, options, world, directory, console, deadline)
      guard code == .done else { return code }
      StoragePool.releaseFree()
    }
    if !hasTrained, let last = sequence.stages.last {
      let steps = sequence.length(of: last).totalSteps
      try directory?.updateStatus(
        "finished", sequence.board.fields(last.name, "finished", at: steps) + [("exit", .int(0))])
      console.say("nothing is left to do")
    }
    return .done
  }

  /// Trains one stage; nothing of it is held when it returns.
  private static func train(
    _ due: DueStage, _ sequence: StageSequence, _ options: LaunchOptions, _ world: World,
    _ directory: RunDirectory?, _ console: Console, _ deadline: Deadline
  ) throws -> ExitCode {
    world.communicator.enter(phase: "start of \(due.stage.name)")
    let experiment = try Experiment.build(
      due.stage, sequence.shelf, goesOn: options.resume != .never, world.communicator)
    world.watch(hangTimeout: experiment.settings.runtime.hangTimeout)
    try world.communicator.together {
      try directory?.write(RunHeader.environment(experiment, hosts: world.hostNames), to: "env.json")
      if let record = experiment.products.record { try directory?.write(record + "\n", to: due.stage.productFile) }
    }
    let observer = Observer(experiment, directory: directory, board: sequence.board, console: console)
    return try Trainer(experiment, due, observer, CheckpointStore(experiment), deadline).run()
  }

  /// Builds every stage, says what it would be, and writes nothing.
  private static func dryRun(
    _ sequence: StageSequence, _ communicator: Communicator, _ console: Console
  ) throws -> ExitCode {
    for stage in sequence.stages {
      let experiment = try Experiment.build(stage, sequence.shelf, goesOn: false, communicator)
      console.result(RunHeader.text(experiment, firstStep: 0))
    }
    console.result("dry run: nothing was written")
    return .done
  }

  /// Makes the run directory and writes down what is known before the first step. Rank 0 only.
  private static func claim(
    _ plan: RunPlan, _ stages: [PlannedStage], _ options: LaunchOptions
  ) throws -> RunDirectory {
    let directory = try RunDirectory(
      path: plan.path, resuming: options.resume != .never, overwrite: options.overwrite,
      stages: plan.settings.isStaged ? stages : [], isPart: plan.settings.isStaged && options.stage != nil)
    let preset = try options.preset.map { try Presets.path(of: $0) }
    let sources = try ([preset].compactMap { $0 } + options.configFiles).map { file in
      "# \(file)\n" + (try String(contentsOfFile: file, encoding: .utf8))
    }
    try directory.write(
      sources.joined(separator: "\n") + options.overrides.map { "# override: \($0)\n" }.joined(), to: "config.yaml")
    try directory.write(plan.settings.resolvedYAML, to: "config.resolved.yaml")
    try directory.write(CommandLine.arguments.joined(separator: " ") + "\n", to: "command.txt")
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
