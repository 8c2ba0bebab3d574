import Autodiff
import Basics
import Layers
import Settings

/// What sets head initialisation and tuning apart.
struct ContrastiveTuningOptions {
  /// Whether encoder blocks learn by default, as in the stage `tune`.
  let isTuning: Bool
  let pool: Pooling
  let encoderMomentum: Double?
  private let freeze: Freeze
  private let depth: Int

  init(_ context: MethodContext) throws(Failure) {
    isTuning = context.stage != "head"
    freeze = context.stageSettings.freeze ?? (isTuning ? .lowerHalf : .encoder)
    depth = context.vit.depth
    encoderMomentum = try context.section("ema").optionalDouble(
      "encoder", default: isTuning ? 0.9999 : nil, in: 0.0...1, "momentum of the averaged encoder; null for none")
    pool = try Pooling(context, context.section("nnclr"))
    guard frozenBlocks(of: depth) <= depth else {
      throw Failure(
        .badConfig, "freeze asks for \(frozenBlocks(of: depth)) blocks, the encoder has \(depth)", at: "freeze",
        hint: "write freeze: {blocks: [0, 1, ...]} with blocks of the model, encoder, lower_half or none")
    }
  }

  /// Whether the parameter of this name is not trained.
  ///
  /// The final norm's bias shifts what the projector's first BatchNorm centres again: its gradient is 0 whatever the
  /// data, and a step of AdamW would be made of rounding errors, other ones for each number of ranks.
  func freezes(_ name: String) -> Bool {
    if name == "norm.bias" || NNCLR.freezes(name) { return true }
    if NNCLR.owns(name) { return false }
    if freeze == .encoder { return true }
    guard freezesStem else { return false }
    guard name.hasPrefix("blocks.") else { return !name.hasPrefix("norm.") }
    let index = name.dropFirst("blocks.".count).prefix { $0 != "." }
    return (Int(index) ?? depth) < frozenBlocks(of: depth)
  }

  /// The number of blocks, from the first, that are not trained.
  func frozenBlocks(of depth: Int) -> Int {
    switch freeze {
    case .none: 0
    case .encoder: depth
    case .lowerHalf: depth / 2
    case .lowerBlocks(let count): count
    }
  }

  /// Whether patch embedding and class token are not trained.
  var freezesStem: Bool { freeze != .none }
}
