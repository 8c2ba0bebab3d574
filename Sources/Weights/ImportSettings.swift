import Basics
import Layers
import Messaging
import Methods
import Settings

/// The settings of an imported model: what the file says, then what the user says.
struct ImportSettings {
  /// The settings as a checkpoint keeps them, of a run of MAE.
  let config: JSON
  /// The encoder.
  let configuration: ViTConfiguration
  /// The decoder that the settings describe.
  let decoder: DecoderConfiguration
  /// The first key of the initial values of tensors that the file lacks.
  let seed: UInt64
  /// The model's name.
  let model: String

  /// - Parameters:
  ///   - base: what the file says, as `key=value`; the user's words win over it.
  ///   - words: the user's `key=value`.
  ///   - positions: what the file's positions need.
  /// - Throws: bad config for a wrong value.
  init(
    base: [String], words: [String], positions: PositionKind, communicator: Communicator
  ) throws(Failure) {
    let tree = try SettingsTree.load(
      overrides: ["method=mae"] + base + words + ["model.pos_embed=\(positions.rawValue)"], environment: [:])
    let settings = try RunSettings(from: tree, isTemplate: true)
    let context = try MethodContext(settings: settings, tree: tree, communicator: communicator)
    // It reads its own section; its parameters are never built.
    do { _ = try MethodRegistry.make("mae", context) } catch let failure as Failure { throw failure } catch {
      throw Failure(.internalError, "\(error)")
    }
    try tree.finish()
    (config, configuration, decoder) = (tree.resolvedJSON, context.vit, context.decoder)
    (seed, model) = (settings.seed, settings.model.arch)
  }

  /// Refuses words about something else than the model.
  ///
  /// - Throws: usage.
  static func check(_ words: [String]) throws(Failure) {
    for word in words {
      let key = word.prefix { $0 != "=" }
      guard key != "model.pos_embed" else {
        throw Failure(.usage, "whether positions are stored follows from the file", at: word, hint: "leave it out")
      }
      guard ["model.", "mae."].contains(where: key.hasPrefix) || ["augment.mean", "augment.std"].contains(key) else {
        throw Failure(
          .usage, "'\(key)' has no meaning for an import", at: word,
          hint: "it takes model.KEY, mae.KEY, augment.mean and augment.std")
      }
    }
  }

  /// What a file says of its model, as `key=value`: sizes of its decoder, and all of it where we wrote the file.
  ///
  /// - Parameter isNamed: whether the user names the model, so that the file's own sizes do not count.
  static func base(_ weights: ForeignWeights, isNamed: Bool) throws(Failure) -> [String] {
    var words: [String] = []
    if let note = weights.file.metadata[ExportNote.key] { words = try ExportNote.words(note, withEncoder: !isNamed) }
    guard let width = weights.shape("decoder.embed.weight")?.first else { return words }
    return words + ["model.decoder.dim=\(width)", "model.decoder.depth=\(weights.depth("decoder.blocks."))"]
  }
}
