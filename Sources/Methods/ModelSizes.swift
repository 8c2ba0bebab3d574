import Basics
import Layers
import Settings

extension ViTConfiguration {
  /// The encoder that `model:` describes: a named one with single sizes replaced.
  ///
  /// - Throws: bad config when the name is unknown or the sizes do not fit each other.
  public init(_ model: ModelSettings) throws(Failure) {
    guard var result = ViTConfiguration.named(model.arch) else {
      throw .unknownName(model.arch, of: "model", at: "model.arch", among: ViTConfiguration.names)
    }
    if let width = model.width { result.width = width }
    if let depth = model.depth { result.depth = depth }
    if let heads = model.heads { result.heads = heads }
    if let patch = model.patch { result.patch = patch }
    if let imgSize = model.imgSize { result.imgSize = imgSize }
    if let inChans = model.inChans { result.inChans = inChans }
    result.positions = PositionKind(rawValue: model.positions) ?? .sinCos
    if let obstacle = result.obstacle {
      throw Failure(.badConfig, obstacle, at: "model", hint: "change model.width, heads, patch or img_size")
    }
    self = result
  }
}

extension DecoderConfiguration {
  /// The decoder that `model.decoder:` describes.
  ///
  /// - Throws: bad config when the sizes do not fit each other.
  public init(_ model: ModelSettings) throws(Failure) {
    let result = DecoderConfiguration(
      width: model.decoder.dim, depth: model.decoder.depth, heads: model.decoder.heads)
    if let obstacle = result.obstacle {
      throw Failure(.badConfig, obstacle, at: "model.decoder", hint: "the paper's decoder is 512 / 8 / 16")
    }
    self = result
  }
}

extension Failure {
  /// A name that is none of the known ones; the hint gives the nearest and all of them.
  static func unknownName(
    _ name: String, of kind: String, at place: String? = nil, among known: [String]
  ) -> Failure {
    let suggestion = nearestName(to: name, among: known).map { "did you mean \($0)? " } ?? ""
    return Failure(
      .badConfig, "there is no \(kind) named '\(name)'", at: place ?? kind,
      hint: "\(suggestion)known: \(known.joined(separator: ", "))")
  }
}

extension Pooling {
  /// The key `pool` of a section: which token stands for an image.
  ///
  /// - Throws: bad config for another word.
  /// - Source: spec mae-ct section 6.
  init(_ context: MethodContext, _ section: Section) throws(Failure) {
    let chosen = try section.choice(
      "pool", default: "auto", ["auto"] + Pooling.allCases.map(\.rawValue),
      "the vector of an image; auto is cls for widths from 1024 on, mean_patch below")
    self = Pooling(rawValue: chosen) ?? (context.vit.width >= 1024 ? .classToken : .meanPatch)
  }
}
