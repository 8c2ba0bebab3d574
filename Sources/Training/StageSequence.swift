import Basics
import Checkpoints
import Foundation
import Messaging
import Settings

/// How a stage begins.
enum StageStart: Equatable {
  /// As if it had never stopped, from this checkpoint of its own.
  case goingOn(String)
  /// At step 0, with weights of this checkpoint, or from scratch.
  case fresh(String?)
}

/// A stage that is to run now.
struct DueStage {
  let stage: PlannedStage
  let start: StageStart
  /// Whether no further stage follows in this start of the program.
  let isLast: Bool

  /// Whether it begins at step 0 with weights of a checkpoint.
  var isInherited: Bool {
    if case .fresh(.some) = start { return true }
    return false
  }
}

/// The stages of a run in their order: which of them are due, and where each one begins.
///
/// Every rank has one; what it finds in the file system is found by rank 0 and the same on all ranks.
final class StageSequence {
  let shelf = DataShelf()
  /// The stages that this start of the program may run.
  let stages: [PlannedStage]
  /// What the directory holds when it is first asked for.
  private(set) lazy var board = StageBoard(plan, lengths)
  private let plan: RunPlan
  private let options: LaunchOptions
  private let communicator: Communicator
  private let console: Console
  private let lengths: [String: RunLength]
  private var remaining: ArraySlice<PlannedStage>
  /// The stages that this start of the program has trained, the current one included.
  private var trained: Set<String> = []

  /// Opens the data and decides which stages there are to run.
  ///
  /// - Throws: the failure of the lowest rank, on every rank.
  /// - Collective: all ranks.
  init(_ plan: RunPlan, _ options: LaunchOptions, _ communicator: Communicator, _ console: Console) throws {
    self.plan = plan
    self.options = options
    self.communicator = communicator
    self.console = console
    let shelf = shelf
    let (lengths, stages) = try communicator.together {
      (
        Dictionary(
          try plan.stages.map { ($0.name, try shelf.length(of: $0)) }, uniquingKeysWith: { first, _ in first }),
        try StageSequence.stages(plan, options)
      )
    }
    self.lengths = lengths
    self.stages = stages
    remaining = stages[...]
  }

  /// With `--stage` that one; with `--resume FILE` that of the file and those after it; else all.
  private static func stages(_ plan: RunPlan, _ options: LaunchOptions) throws(Failure) -> [PlannedStage] {
    let asked = try options.stage.map { name throws(Failure) in try plan.stage(named: name) }
    guard case .file(let path) = options.resume else { return asked.map { [$0] } ?? plan.stages }
    let header = try CheckpointReader.header(path)
    // A run without stages says itself that the file is of another method.
    guard plan.settings.isStaged else { return plan.stages }
    guard asked == nil || asked?.name == header.stage else {
      throw Failure(
        .usage, "the checkpoint is of stage \(header.stage), --stage says \(asked?.name ?? "")", at: path,
        hint: "leave --stage out, or start the stage from the file: stages.\(asked?.name ?? "NAME").from=\(path)")
    }
    guard let place = plan.stages.firstIndex(where: { $0.name == header.stage }) else {
      throw Failure(
        .badData, "the checkpoint is of stage \(header.stage) of \(header.method), which this run does not have",
        at: path, hint: "the stages are \(plan.stages.map(\.name).joined(separator: ", "))")
    }
    return asked.map { [$0] } ?? Array(plan.stages[place...])
  }

  /// Makes sure that every stage will find what it starts from, before the first one runs.
  ///
  /// - Throws: input missing, with what to run first.
  /// - Collective: all ranks.
  func requireOrigins() throws {
    try communicator.together {
      guard communicator.rank == 0 else { return }
      var earlier: [String] = []
      for (place, stage) in stages.enumerated() {
        defer { earlier.append(stage.name) }
        if options.resume != .never, CheckpointReader.newestNamed(inStage: stage.checkpoints) != nil { continue }
        if case .file = options.resume, place == 0 { continue }
        if let path = options.initFrom, place == 0 {
          try requireToStay(path)
          continue
        }
        switch stage.own.from {
        case .nothing: break
        case .stage(let name):
          guard earlier.contains(name) || CheckpointReader.newestNamed(inStage: folder(name)) != nil else {
            throw missing(name, for: stage)
          }
        case .path(let path):
          try requireToStay(path)
          guard FileManager.default.fileExists(atPath: path) else {
            throw Failure(
              .inputMissing, "stage \(stage.name) starts from '\(path)', which does not exist",
              at: stage.tree.origin(of: "from"),
              hint: "write a checkpoint, a run directory, or a stage: "
                + plan.settings.known.joined(separator: ", "))
          }
        }
      }
    }
  }

  /// Refuses to begin with a file that `--overwrite` is about to remove.
  private func requireToStay(_ path: String) throws(Failure) {
    func resolved(_ path: String) -> String { URL(fileURLWithPath: path).resolvingSymlinksInPath().path }
    let folders = plan.settings.isStaged ? stages.map(\.checkpoints) : ["\(plan.path)/checkpoints"]
    guard options.overwrite, folders.contains(where: { resolved(path).hasPrefix(resolved($0) + "/") }) else { return }
    throw Failure(
      .usage, "--overwrite would remove the checkpoint that the run is to start from", at: path,
      hint: "move the file out of the run directory first, or choose another --out")
  }

  /// The next stage that is not finished; nil when all are.
  ///
  /// - Throws: input missing when what it starts from cannot be found.
  /// - Collective: all ranks.
  func next() throws -> DueStage? {
    while let stage = remaining.popFirst() {
      let isFirst = stage.number == stages[0].number
      if isFirst, case .file(let path) = options.resume {
        return try due(stage, .goingOn(path))
      }
      if options.resume != .never, let path = try newest(of: stage) {
        let header = try communicator.together { try CheckpointReader.header(path) }
        guard header.step == length(of: stage).totalSteps else {
          warnAboutOrigin(of: stage, header)
          return try due(stage, .goingOn(path))
        }
        try communicator.together { try header.requireSameRun(as: stage, length(of: stage), path) }
        console.say("\(stage.title) is finished: step \(header.step) of \(header.step) in \(path)")
        warnAboutOrigin(of: stage, header)
        continue
      }
      let source = isFirst ? try options.initFrom ?? origin(of: stage) : try origin(of: stage)
      return try due(stage, .fresh(source))
    }
    return nil
  }

  private func due(_ stage: PlannedStage, _ start: StageStart) throws -> DueStage {
    let isLast = try agreed {
      options.resume == .never
        ? remaining.isEmpty
        : remaining.allSatisfy {
          CheckpointReader.newestNamed(inStage: $0.checkpoints)?.step == length(of: $0).totalSteps
        }
    }
    trained.insert(stage.name)
    return DueStage(stage: stage, start: start, isLast: isLast)
  }

  /// What rank 0 finds in the file system. Collective: all ranks.
  private func agreed(_ find: () -> Bool) throws -> Bool {
    try communicator.broadcast(communicator.rank == 0 && find() ? "yes" : "") == "yes"
  }

  /// How long a stage is.
  func length(of stage: PlannedStage) -> RunLength {
    guard let length = lengths[stage.name] else { preconditionFailure("no length of stage \(stage.name)") }
    return length
  }

  /// The newest whole checkpoint of a stage; damaged ones are named on the way.
  private func newest(of stage: PlannedStage) throws -> String? {
    let found = try CheckpointReader.newestValid(inStage: stage.checkpoints, communicator: communicator)
    warn(found.rejected)
    if found.path == nil, !found.rejected.isEmpty {
      console.say("warning: no checkpoint of \(stage.title) verifies: starting from the beginning")
    }
    return found.path
  }

  private func warn(_ rejected: [NewestCheckpoint.Rejected]) {
    for file in rejected {
      console.say("warning: \(file.path) does not verify and is passed over: \(file.reason)")
    }
  }

  // MARK: - Origins

  /// The checkpoint that a fresh stage takes weights from; nil for none.
  private func origin(of stage: PlannedStage) throws -> String? {
    switch stage.own.from {
    case .nothing: return nil
    case .stage(let name): return try newest(ofStage: name, for: stage)
    case .path(let path): return try locate(path, for: stage)
    }
  }

  private func newest(ofStage name: String, for stage: PlannedStage) throws -> String {
    let found = try CheckpointReader.newestValid(inStage: folder(name), communicator: communicator)
    warn(found.rejected)
    guard let path = found.path else { throw missing(name, for: stage) }
    if let total = lengths[name]?.totalSteps {
      let step = try communicator.together { try CheckpointReader.header(path).step }
      if step != total {
        console.say(
          "warning: \(stage.title) starts from \(name) at step \(step) of \(total), which is not its end")
      }
    }
    return path
  }

  /// A checkpoint, or the newest one of a run directory.
  private func locate(_ path: String, for stage: PlannedStage) throws -> String {
    var isDirectory: ObjCBool = false
    guard
      try agreed({ FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory.boolValue })
    else { return path }
    // The candidates are looked for by rank 0 alone, so only its list counts.
    let stages = RunDirectory.stages(at: path)
    let found = try CheckpointReader.newestValid(in: path, stages: stages, communicator: communicator)
    warn(found.rejected)
    guard let newest = found.path else {
      throw Failure(
        .inputMissing, "stage \(stage.name) starts from \(path), which holds no whole checkpoint",
        at: stage.tree.origin(of: "from"), hint: "sslmpi inspect \(path) shows what is there")
    }
    return newest
  }

  private func missing(_ name: String, for stage: PlannedStage) -> Failure {
    Failure(
      .inputMissing, "stage \(stage.name) starts from \(name), which has no whole checkpoint in \(plan.path)",
      at: stage.tree.origin(of: "from") ?? "the stage before it",
      hint: "run it first: sslmpi pretrain ... --stage \(name), or start from a file: stages.\(stage.name).from=FILE")
  }

  /// A stage whose origin went on after it had started from it was made from older weights.
  private func warnAboutOrigin(of stage: PlannedStage, _ header: CheckpointHeader) {
    guard case .stage(let name) = stage.own.from, let used = header.origin,
      let newest = CheckpointReader.newestNamed(inStage: folder(name)).map({ CheckpointHeader.origin($0.path) }),
      newest != used || trained.contains(name)
    else { return }
    let change = newest == used ? "\(name) has been trained since" : "\(name) is now at \(newest)"
    console.say(
      "warning: \(stage.title) was made from \(used), and \(change); to make it again: "
        + "--stage \(stage.name) --overwrite")
  }

  private func folder(_ stage: String) -> String { "\(plan.path)/checkpoints/\(stage)" }
}

extension CheckpointHeader {
  /// What the stage took its first weights from, as `STAGE/FILE`; nil when it began from scratch.
  var origin: String? { extra.first { $0.0 == "from" }?.1 }

  /// How a checkpoint is recorded as an origin.
  static func origin(_ path: String) -> String { path.split(separator: "/").suffix(2).joined(separator: "/") }
}
