import Basics
import Foundation
import Messaging
import Methods
import Settings

/// A run before anything of it is built: its stages, all settings read and checked.
///
/// A mistake in the last stage is found before the first step of the first one.
public struct RunPlan {
  /// The settings of all stages.
  public let settings: StagedSettings
  let stages: [PlannedStage]

  /// Reads the settings that `options` name.
  ///
  /// - Parameters:
  ///   - isTemplate: data and length may still be missing, because nothing will run: for `config explain`.
  ///   - methods: the known methods.
  /// - Throws: bad config, input missing or usage.
  /// - Collective: local, though every method is made once to hear which settings it reads.
  public init(
    _ options: LaunchOptions, _ communicator: Communicator, isTemplate: Bool = false,
    methods: [MethodRegistry.Entry] = MethodRegistry.all
  ) throws {
    let tree = try SettingsTree.load(
      files: options.configFiles, preset: options.preset, overrides: options.overrides)
    let method = tree.methodName ?? RunSettings.defaultMethod
    let entry = try MethodRegistry.entry(named: method, among: methods)
    let staged = try StagedSettings(tree, method: method, stages: entry.stages.map(\.name))
    var stages: [PlannedStage] = []
    for (place, stage) in staged.stages.enumerated() {
      let settings = try RunSettings(from: stage.tree, isTemplate: isTemplate)
      let planned = PlannedStage(
        number: place + 1, count: staged.stages.count, isStaged: staged.isStaged, own: stage.settings,
        settings: settings, tree: stage.tree, type: try entry.type(of: stage.name),
        run: options.out ?? "runs/\(settings.name)")
      try planned.check(communicator)
      stages.append(planned)
    }
    try staged.finish()
    settings = staged
    self.stages = stages
  }

  /// The run directory.
  var path: String { stages[0].run }

  /// The stage of this name.
  ///
  /// - Throws: bad config, with the nearest name, when the run has none of this name.
  func stage(named name: String) throws(Failure) -> PlannedStage {
    if let stage = stages.first(where: { $0.name == name }) { return stage }
    let names = settings.isStaged ? stages.map(\.name) : []
    throw .unknownStage(name, of: stages[0].settings.method, among: names, at: "--stage")
  }
}

/// A stage of a run as the settings describe it. A run without stages is one stage with the method's name.
struct PlannedStage {
  /// Its place in the run, from 1.
  let number: Int
  /// The number of stages of the run.
  let count: Int
  /// Whether the method has stages.
  let isStaged: Bool
  let own: StageSettings
  let settings: RunSettings
  let tree: SettingsTree
  let type: any Method.Type
  /// The run directory.
  let run: String

  var name: String { own.name }
  /// How messages call it: `stage 2/3 head`, or the method.
  var title: String { isStaged ? "stage \(number)/\(count) \(name)" : settings.method }
  /// Stands before the names of files of which every stage has its own.
  var filePrefix: String { isStaged ? "\(name)-" : "" }
  /// Where its checkpoints are.
  var checkpoints: String { "\(run)/checkpoints/\(name)" }
  /// Where the choice of product engines is kept.
  var productFile: String { isStaged ? "gemm-\(name).json" : "gemm.json" }

  /// What a method is made from; every call begins a new model.
  func context(_ communicator: Communicator) throws(Failure) -> MethodContext {
    try MethodContext(settings: settings, tree: tree, stage: own, communicator: communicator)
  }

  /// Finds out whether the settings fit each other and the ranks; makes the method once, so that it reads its own.
  fileprivate func check(_ communicator: Communicator) throws {
    guard settings.train.batchSize >= communicator.size else {
      throw Failure(
        .badConfig, "train.batch_size is \(settings.train.batchSize), smaller than the \(communicator.size) ranks",
        at: "train.batch_size", hint: "every rank needs at least one image: use a larger batch or fewer ranks")
    }
    let method = try type.init(context(communicator))
    guard method.couplesBatch, settings.train.microBatch != nil else { return }
    throw Failure(
      .badConfig,
      "\(isStaged ? "stage \(name)" : settings.method) cannot cut its batch into micro-batches: its statistics and its "
        + "loss are taken over the whole batch (BatchNorm, negatives, assignments)",
      at: tree.origin(of: "train.micro_batch") ?? "train.micro_batch",
      hint: "remove train.micro_batch; more ranks or train.recompute lower the memory of a rank")
  }
}
