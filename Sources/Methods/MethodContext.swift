import Basics
import Layers
import Messaging
import Settings

/// What a method is made from.
public struct MethodContext {
  /// The settings of the run, or of the stage.
  public let settings: RunSettings
  /// What is set for the stage alone.
  public let stageSettings: StageSettings
  /// The ranks of the run, for statistics over the global batch.
  public let communicator: Communicator
  /// Takes the parameters of the trained model; the trainer builds the arena from it.
  public let builder: ModelBuilder
  /// The encoder's size.
  public let vit: ViTConfiguration
  /// The decoder's size.
  public let decoder: DecoderConfiguration
  private var tree: SettingsTree

  /// Resolves the model's sizes from the settings.
  ///
  /// - Parameters:
  ///   - tree: where `settings` were read from; the method reads its own sections there.
  ///   - stage: nil for a method without stages.
  /// - Throws: bad config when the model's name is unknown or its sizes do not fit.
  public init(
    settings: RunSettings, tree: SettingsTree, stage: StageSettings? = nil, communicator: Communicator
  ) throws(Failure) {
    self.settings = settings
    self.tree = tree
    stageSettings = stage ?? StageSettings(name: settings.method)
    self.communicator = communicator
    builder = ModelBuilder(
      seed: settings.seed, recompute: Recompute(rawValue: settings.train.recompute) ?? .none)
    vit = try ViTConfiguration(settings.model)
    decoder = try DecoderConfiguration(settings.model)
  }

  /// The stage that runs: the method's name when it has no stages.
  public var stage: String { stageSettings.name }

  /// For a part of the method that this stage does not have: the sections it reads may be written for the whole run.
  var elsewhere: MethodContext {
    var context = self
    context.tree = tree.companion()
    return context
  }

  /// A section that the method owns: `mae` for MAE.
  public func section(_ name: String) -> Section { tree.section(name) }

  /// Refuses settings for frozen, slower or separate parts, for a method or stage that trains its whole model alike.
  ///
  /// - Parameter exceptHead: whether it has a head, to which `optim.head` applies.
  /// - Throws: bad config that names the setting.
  func requireOneRule(exceptHead: Bool) throws(Failure) {
    let optim = settings.optim
    var given: [(key: String, isSet: Bool)] = [
      ("freeze", stageSettings.freeze.map { $0 != Freeze.none } ?? false),
      ("optim.layer_decay", optim.layerDecay != nil),
    ]
    if !exceptHead {
      given += [
        ("optim.head.base_lr", optim.head.baseLR != nil), ("optim.head.weight_decay", optim.head.weightDecay != nil),
      ]
    }
    guard let first = given.first(where: \.isSet) else { return }
    throw Failure(
      .badConfig, "'\(first.key)' has no meaning for \(stage): it trains its whole model by one rule",
      at: tree.origin(of: first.key),
      hint: settings.method == stage
        ? "remove it" : "remove it, or set it for another stage: stages.NAME.\(first.key)=...")
  }
}
