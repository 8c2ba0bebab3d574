import Basics
import Checkpoints

/// How far the stages of a run are, for `status.json`.
final class StageBoard {
  private struct Entry {
    let name: String
    let total: Int
    var state: String
    var step: Int
  }

  private var entries: [Entry]
  private let isStaged: Bool

  /// What the names of the files say; nothing is read.
  init(_ plan: RunPlan, _ lengths: [String: RunLength]) {
    isStaged = plan.settings.isStaged
    entries = plan.stages.map { stage in
      let total = lengths[stage.name]?.totalSteps ?? 0
      let step = CheckpointReader.newestNamed(inStage: stage.checkpoints)?.step
      let state = step.map { $0 == total ? "finished" : "stopped" } ?? "waiting"
      return Entry(name: stage.name, total: total, state: state, step: step ?? 0)
    }
  }

  /// The fields of `status.json` when a stage is in this state.
  func fields(_ stage: String, _ state: String, at step: Int) -> [(String, JSON)] {
    for place in entries.indices where entries[place].name == stage {
      entries[place].state = state
      entries[place].step = step
    }
    let own: [(String, JSON)] = [("stage", .string(stage)), ("step", .int(step))]
    guard isStaged else { return own }
    let all = entries.map { entry in
      JSON.object([
        ("name", .string(entry.name)), ("state", .string(entry.state)), ("step", .int(entry.step)),
        ("steps", .int(entry.total)),
      ])
    }
    return own + [("stages", .array(all))]
  }
}
