import Basics
import Checkpoints
import Layers
import Messaging
import Tensors

/// A model of another program, read from a safetensors file into a network of ours.
///
/// - Source: spec/evaluation.md E2.
public struct WeightImport {
  /// How the file fitted.
  public let report: ImportReport
  /// Whose names the file has.
  public let names: WeightNames
  /// The encoder's sizes, with positions stored where the file's are not the sine-cosine table.
  public let configuration: ViTConfiguration
  /// How many class tokens it has.
  public let classTokens: Int
  /// Whether a decoder came along.
  public let hasDecoder: Bool
  private let file: SafetensorsFile
  private let settings: ImportSettings
  private let arena: ParameterArena

  /// Reads a file and fits it to a model.
  ///
  /// - Parameters:
  ///   - model: its name, such as `vit_base_patch16_224`; nil takes what the file says, when we wrote it.
  ///   - words: single sizes as `model.key=value`; `augment.mean`, `augment.std` and `mae.*` are kept for later readers.
  ///   - allowPartial: take what fits; tensors of the encoder that do not keep their initial values, and a decoder that
  ///     is not whole is left out.
  /// - Throws: code 65 for a damaged file, or with the table of differences; 64 or 78 for wrong words; 66 without a file.
  /// - Collective: local; the communicator is not used for messages.
  public init(
    _ path: String, model: String?, words: [String] = [], allowPartial: Bool = false, communicator: Communicator
  ) throws(Failure) {
    try ImportSettings.check(words)
    let file = try SafetensorsFile(path)
    let weights = try ForeignWeights(file)
    let isNamed = model != nil || words.contains { $0.hasPrefix("model.arch=") }
    guard isNamed || file.metadata[ExportNote.key] != nil else {
      throw Failure(
        .usage, "the file does not say which model it holds", at: path,
        hint: "name it: --model vit_base_patch16_224; see sslmpi list models")
    }
    let base = try ImportSettings.base(weights, isNamed: isNamed)
    let words = (model.map { ["--model model.arch=\($0)"] } ?? []) + words
    let plain = try ImportSettings(base: base, words: words, positions: .sinCos, communicator: communicator)
    classTokens = weights.ownNames.contains("cls_token_1") ? 2 : 1
    let fit = try WeightFit(weights, plain.configuration, classTokens: classTokens)
    settings =
      fit.storesPositions
      ? try ImportSettings(base: base, words: words, positions: .stored, communicator: communicator) : plain
    configuration = settings.configuration
    let builder = ModelBuilder(seed: settings.seed)
    builder.freezes = { _ in true }
    _ = ViT(configuration, builder, classTokens: classTokens)
    let isWithDecoder = weights.shape("decoder.embed.weight") != nil
    if isWithDecoder { _ = MAEDecoder(settings.decoder, of: configuration, builder) }
    arena = builder.build()
    var report = try fit.fill(arena, decoder: isWithDecoder ? settings.decoder : nil)
    hasDecoder = isWithDecoder && report.differences.allSatisfy { !MAEDecoder.owns($0) }
    if isWithDecoder, !hasDecoder { report.notes.append("the decoder is not whole and is left out") }
    self.report = report
    names = weights.names
    self.file = file
    guard report.isFull || allowPartial else {
      throw Failure(
        .badData, "the file does not fit the model:\n\(report.table.joined(separator: "\n"))", at: path,
        hint: "name the model with --model and model.KEY=VALUE; --allow-partial takes what fits")
    }
  }

  private var tensors: [NamedTensor] {
    arena.parameters.filter { hasDecoder || !MAEDecoder.owns($0.name) }.map { parameter in
      NamedTensor(
        name: "student/\(parameter.name)", shape: parameter.shape.dims, payload: .float32(parameter.value.pointer))
    }
  }

  /// What can be done with the checkpoint at `path`, as commands.
  public func advice(_ path: String) -> String {
    let stored = configuration.positions == .stored ? " model.pos_embed=stored" : ""
    return """
      sslmpi eval knn \(path) --data DIR
      sslmpi pretrain CONFIG.yaml --init-from \(path)\(stored)
      sslmpi pretrain mae-ct.yaml --stage head stages.head.from=\(path)\(stored)
      """
  }

  /// Writes the model as a checkpoint of step 0, which `--init-from`, `from:` and every evaluation take.
  ///
  /// - Parameter program: the version of this program.
  /// - Throws: as `CheckpointWriter.write`.
  /// - Collective: all ranks of `communicator`.
  public func write(to path: String, program: String, communicator: Communicator) throws(Failure) {
    let hash = try communicator.agreed { () throws(Failure) in
      communicator.rank == 0 ? try FileHash.sha256(file.path) : ""
    }
    let config = settings.config.line
    let header = CheckpointHeader(
      step: 0, epoch: 0, imagesSeen: 0, seed: settings.seed, globalBatch: 0, config: config,
      configHash: String(stableHash(config), radix: 16), worldSize: communicator.size, method: "mae",
      model: settings.model, versions: [("sslmpi", program)],
      extra: [
        ("imported_from", file.path), ("imported_names", names.rawValue),
        ("imported_sha256", try communicator.broadcast(hash)),
      ])
    try CheckpointWriter.write(tensors, header: header, to: path, communicator: communicator)
  }
}
