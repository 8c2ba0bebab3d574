import Autodiff
import Basics
import Layers
import Tensors

/// Fits the tensors of a file to the parameters of a network.
struct WeightFit {
  private let weights: ForeignWeights
  private let configuration: ViTConfiguration
  private let positions: ImportedPositions?

  /// Reads the position table alone.
  ///
  /// - Parameter configuration: the encoder's sizes.
  /// - Throws: as `SafetensorsFile.tensor`.
  init(_ weights: ForeignWeights, _ configuration: ViTConfiguration, classTokens: Int) throws(Failure) {
    self.weights = weights
    self.configuration = configuration
    guard weights.shape("pos_embed")?.last == configuration.width else {
      positions = nil
      return
    }
    positions = ImportedPositions(
      try weights.tensor("pos_embed"), classTokens: classTokens, grid: configuration.grid)
  }

  /// Whether the network needs the table of the file.
  var storesPositions: Bool { positions.map { !$0.isSinCos } ?? false }

  /// Fills the parameters that fit, and says how all of them did.
  ///
  /// - Parameter decoder: the sizes of the decoder among the parameters; nil without one.
  /// - Throws: code 65 for numbers that cannot be read.
  func fill(_ arena: ParameterArena, decoder: DecoderConfiguration?) throws(Failure) -> ImportReport {
    var report = ImportReport()
    var used: Set<String> = []
    for parameter in arena.parameters where parameter.name != "pos_embed" {
      guard let shape = shape(parameter.name, &report, &used) else { continue }
      guard shape == parameter.shape.dims else {
        report.reshaped.append((parameter.name, "\(shape) in the file, \(parameter.shape) in the model"))
        continue
      }
      var value = try weights.tensor(parameter.name)
      let number = ["cls_token", "cls_token_1"].firstIndex(of: parameter.name)
      if let number, let positions { value = positions.added(to: value, number: number) }
      parameter.value.assign(value)
      report.matched.append(parameter.name)
    }
    fitPositions(arena, &report, &used)
    if let decoder { try fitDecoderPositions(decoder, &report, &used) }
    report.unexpected = weights.file.names.filter { !used.contains($0) }
    return report
  }

  /// The extents in the file; nil when it lacks the tensor, which is then reported.
  private func shape(_ own: String, _ report: inout ImportReport, _ used: inout Set<String>) -> [Int]? {
    guard let shape = weights.shape(own) else {
      report.missing.append((own, weights.names.theirs(own)?.joined(separator: ", ") ?? own))
      return nil
    }
    used.formUnion(weights.files(of: own))
    return shape
  }

  private func fitPositions(_ arena: ParameterArena, _ report: inout ImportReport, _ used: inout Set<String>) {
    guard let shape = shape("pos_embed", &report, &used) else { return }
    guard let positions else {
      let c = configuration
      report.reshaped.append(("pos_embed", "\(shape) in the file, [1, C + a square number, \(c.width)] in a model"))
      return
    }
    report.matched.append("pos_embed")
    arena["pos_embed"]?.value.assign(positions.table)
    let grid = configuration.grid
    if positions.grid != grid {
      report.notes.append("positions of a grid of \(positions.grid) resampled to \(grid) (bicubic)")
    }
    if storesPositions {
      report.notes.append("positions are not the sine-cosine table: stored; a run from it needs model.pos_embed=stored")
    }
    if positions.movesClassTokens {
      report.notes.append("the position of the class token is added to the class token")
    }
  }

  /// A decoder of ours has the sine-cosine table and no other one.
  private func fitDecoderPositions(
    _ decoder: DecoderConfiguration, _ report: inout ImportReport, _ used: inout Set<String>
  ) throws(Failure) {
    report.notes.append("decoder of \(decoder.heads) heads; no file says how many: model.decoder.heads")
    guard let shape = shape("decoder.pos_embed", &report, &used) else { return }
    guard shape.last == decoder.width,
      let table = ImportedPositions(try weights.tensor("decoder.pos_embed"), classTokens: 1)
    else {
      report.reshaped.append(("decoder.pos_embed", "\(shape) in the file, [1, 1 + L, \(decoder.width)] in the model"))
      return
    }
    guard table.isSinCos, !table.movesClassTokens else {
      report.reshaped.append(("decoder.pos_embed", "another table in the file than sine-cosine"))
      return
    }
    report.matched.append("decoder.pos_embed")
  }
}
