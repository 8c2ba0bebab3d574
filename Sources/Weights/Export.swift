import Basics
import Checkpoints
import Layers
import Messaging
import Methods
import Settings
import Tensors

// Shapes: C class tokens, L patches, D width of the encoder, E width of the decoder.

/// An encoder, and where the names have a place for it its decoder, under the names of another program.
///
/// - Source: spec/evaluation.md E2.
public struct WeightExport {
  /// The tensors in the order of the file.
  public let tensors: [(name: String, value: Tensor)]
  /// What is told about the model in the file.
  let note: ExportNote
  /// Whose names they are.
  public let names: WeightNames
  /// What the user should know: parts that stay behind, features that change.
  public let warnings: [String]

  /// Collects what is written.
  ///
  /// - Parameters:
  ///   - encoder: its positions are written as they are: resize it first for images of another side.
  ///   - classToken: the one class token to keep of several; nil keeps all.
  /// - Throws: usage when the names have no place for the class tokens; code 65 or 66 when the checkpoint is damaged.
  /// - Collective: all ranks of `communicator`.
  public init(
    _ encoder: Encoder, names: WeightNames, classToken: Int? = nil, communicator: Communicator
  ) throws(Failure) {
    let kept = try WeightExport.classTokens(encoder.vit.classTokens, keeping: classToken, names)
    let vit = encoder.vit
    let decoder = names.hasDecoder ? try StoredDecoder(of: encoder, communicator) : nil
    var found: [(own: String, value: Tensor)] = kept.enumerated().map { place, token in
      (WeightExport.classNames[place], encoder.value(of: WeightExport.classNames[token]))
    }
    found.append(("pos_embed", WeightExport.table(vit.positions, classRows: kept.count)))
    found += encoder.arena.parameters.filter { !(WeightExport.classNames + ["pos_embed"]).contains($0.name) }
      .map { ($0.name, $0.value) }
    if let decoder {
      let table = sinCosPositions(width: decoder.configuration.width, grid: vit.configuration.grid)
      found += decoder.tensors + [("decoder.pos_embed", WeightExport.table(table, classRows: 1))]
    }
    tensors = found.flatMap { WeightExport.renamed($0.own, $0.value, names) }
    self.names = names
    note = ExportNote(
      configuration: vit.configuration, model: encoder.header.model, classTokens: kept.count,
      decoder: decoder?.configuration, mean: encoder.mean, std: encoder.std,
      origin: [
        ("names", .string(names.rawValue)), ("checkpoint", .string(encoder.path)),
        ("weights", .string(encoder.weights)),
        ("method", .string(encoder.header.method)), ("stage", .string(encoder.header.stage)),
        ("step", .int(encoder.header.step)),
      ])
    warnings = WeightExport.warnings(encoder, kept: kept)
  }

  private static let classNames = ["cls_token", "cls_token_1"]

  /// The class tokens that are written, by their number in the encoder.
  private static func classTokens(
    _ count: Int, keeping chosen: Int?, _ names: WeightNames
  ) throws(Failure) -> [Int] {
    if let chosen {
      guard (0..<count).contains(chosen) else {
        throw Failure(
          .usage, "the encoder has no class token \(chosen): it has \(count)", at: "--cls-only", hint: "leave it out")
      }
      return [chosen]
    }
    guard count == 1 || names.hasSecondClassToken else {
      throw Failure(
        .usage, "the encoder has \(count) class tokens, and the names of \(names.rawValue) have a place for one",
        at: "--names", hint: "--names timm has a place for both; --cls-only 0 leaves the second one out")
    }
    return Array(0..<count)
  }

  /// Class tokens have no position here, so theirs are 0: [L, D] -> [1, C + L, D].
  private static func table(_ positions: Tensor, classRows: Int) -> Tensor {
    let (count, width) = (positions.shape[0], positions.shape[1])
    let table = Tensor(zeros: [classRows + count, width])
    table.rows(classRows..<classRows + count).assign(positions)
    return table.reshaped([1, classRows + count, width])
  }

  /// One tensor of ours under their names; query, key and value are equal parts of its rows.
  private static func renamed(_ own: String, _ value: Tensor, _ names: WeightNames) -> [(name: String, value: Tensor)] {
    guard let theirs = names.theirs(own) else { preconditionFailure("WeightExport: no name for \(own)") }
    guard theirs.count > 1 else { return [(theirs[0], value)] }
    let rows = value.shape[0] / theirs.count
    return theirs.enumerated().map { part, name in (name, value.rows(part * rows..<(part + 1) * rows)) }
  }

  private static func warnings(_ encoder: Encoder, kept: [Int]) -> [String] {
    guard kept.count < encoder.vit.classTokens else { return [] }
    return [
      "class token \(1 - kept[0]) is left out: the features of patches and of the other class token change, since "
        + "they no longer attend to it"
    ]
  }

  /// What is written, in a few words.
  public var summary: String {
    let bytes = tensors.reduce(0) { $0 + 4 * $1.value.count }
    let parts = note.decoder == nil ? "encoder" : "encoder and decoder"
    return "\(parts), \(tensors.count) tensors, \(bytes >> 20) MiB, names of \(names.rawValue)"
  }

  /// Writes the file.
  ///
  /// - Throws: code 73, 74 or 77.
  /// - Collective: all ranks of `communicator`; rank 0 writes.
  public func write(to path: String, communicator: Communicator) throws(Failure) {
    try communicator.agreed { () throws(Failure) in
      guard communicator.rank == 0 else { return }
      try SafetensorsWriter.write(
        tensors, metadata: [("format", "pt"), (ExportNote.key, note.json.line)], to: path)
    }
  }
}

extension Encoder {
  /// The numbers of a parameter that every encoder of this kind has.
  fileprivate func value(of name: String) -> Tensor {
    guard let parameter = arena[name] else { preconditionFailure("Encoder: no parameter \(name)") }
    return parameter.value
  }
}

/// The decoder beside an encoder in a checkpoint.
private struct StoredDecoder {
  let configuration: DecoderConfiguration
  let tensors: [(own: String, value: Tensor)]

  /// Nil when the checkpoint has none beside these weights.
  ///
  /// - Collective: all ranks of `communicator`.
  init?(of encoder: Encoder, _ communicator: Communicator) throws(Failure) {
    let all = try CheckpointReader.compare([], with: encoder.path, communicator: communicator).unexpected
    guard all.contains("\(encoder.weights)/decoder.embed.weight") else { return nil }
    let tree = try SettingsTree.parse(encoder.header.config, named: encoder.path)
    configuration = try DecoderConfiguration(try RunSettings(from: tree, isTemplate: true).model)
    let builder = ModelBuilder(seed: 0)
    builder.freezes = { _ in true }
    _ = MAEDecoder(configuration, of: encoder.configuration, builder)
    let arena = builder.build()
    let targets = arena.parameters.map { parameter in
      NamedTensor(
        name: "\(encoder.weights)/\(parameter.name)", shape: parameter.shape.dims,
        payload: .float32(parameter.value.pointer))
    }
    _ = try CheckpointReader.load(into: targets, from: encoder.path, communicator: communicator, allowUnexpected: true)
    tensors = arena.parameters.map { ($0.name, $0.value) }
  }
}
