import Autodiff
import Basics
import Checkpoints
import Features
import Layers
import Messaging
import Methods
import Settings
import Tensors

/// The encoder of a checkpoint, for evaluation: no gradient, no mask, no randomness.
public final class Encoder {
  /// The sizes.
  public let configuration: ViTConfiguration
  /// The network.
  public let vit: ViT
  /// Its weights.
  public let arena: ParameterArena
  /// What the checkpoint says about its run.
  public let header: CheckpointHeader
  /// The file.
  public let path: String
  /// Which weights of the file: `student`, `ema`.
  public let weights: String
  /// What its images had subtracted in training, one for each of red, green, blue, in 0 ... 1.
  public let mean: [Float]
  /// What its images were divided by after that.
  public let std: [Float]
  /// What stood for an image in training, where the settings of the run name it.
  let pool: Pooling?

  /// The names of slow copies that stand for an encoder before the trained one does.
  private static let averages = ["ema", "teacher"]

  /// Reads the encoder of a checkpoint.
  ///
  /// - Parameter weights: the name of the weights in the file; nil takes the averaged encoder where the file has one,
  ///   else `student`.
  /// - Throws: code 66 when there is no file, 65 when it is damaged or has no such weights.
  /// - Collective: all ranks of `communicator`.
  public init(_ path: String, weights: String? = nil, communicator: Communicator) throws(Failure) {
    let index = try CheckpointReader.compare([], with: path, communicator: communicator)
    let names = Set(index.unexpected)
    let known = names.filter { $0.hasSuffix("/cls_token") }.map { String($0.dropLast(10)) }.sorted()
    let chosen = weights ?? Encoder.averages.first(where: known.contains) ?? "student"
    guard known.contains(chosen) else {
      throw Failure(
        .badData, "the checkpoint has no encoder named '\(chosen)'", at: path,
        hint: known.isEmpty
          ? "it holds none: see sslmpi inspect \(path)" : "--weights may be \(known.joined(separator: ", "))")
    }
    let settings = try RunSettings(stored: index.header.config, named: path)
    configuration = try ViTConfiguration(settings.model)
    pool = try Encoder.pool(in: index.header.config, named: path)
    (mean, std) = (settings.augment.mean.map(Float.init), settings.augment.std.map(Float.init))
    let builder = ModelBuilder(seed: 0)
    builder.freezes = { _ in true }
    let classTokens = names.contains("\(chosen)/cls_token_1") ? 2 : 1
    vit = ViT(configuration, builder, classTokens: classTokens)
    arena = builder.build()
    header = index.header
    self.path = path
    self.weights = chosen
    let tensors = arena.parameters.map { parameter in
      NamedTensor(
        name: "\(chosen)/\(parameter.name)", shape: parameter.shape.dims, payload: .float32(parameter.value.pointer))
    }
    _ = try CheckpointReader.load(into: tensors, from: path, communicator: communicator, allowUnexpected: true)
  }

  private init(_ other: Encoder, vit: ViT) {
    self.vit = vit
    configuration = vit.configuration
    (arena, header, path, weights) = (other.arena, other.header, other.path, other.weights)
    (mean, std, pool) = (other.mean, other.std, other.pool)
  }

  /// The pooling that the settings of a checkpoint name, of its contrast or of its autoencoder; nil for `auto`.
  ///
  /// - Throws: bad config for a word that is none.
  static func pool(in config: String, named path: String) throws(Failure) -> Pooling? {
    let tree = try SettingsTree.parse(config, named: path)
    for section in ["nnclr", "mae"] {
      let word = try tree.section(section).string("pool", default: "auto", "the vector of an image")
      if let pool = Pooling(rawValue: word) { return pool }
    }
    return nil
  }

  /// The same encoder for images of another side: positions are resampled, weights are shared.
  ///
  /// - Throws: usage when patches do not fill the side.
  /// - Source: spec/evaluation.md 1.2, positions at another grid.
  public func resized(to side: Int) throws(Failure) -> Encoder {
    guard side > 0, side % configuration.patch == 0 else {
      throw Failure(
        .usage, "images of \(side) pixels cannot be cut into patches of \(configuration.patch)", at: "--size",
        hint:
          "take a multiple of \(configuration.patch), for example \(max(1, side / configuration.patch) * configuration.patch)"
      )
    }
    return Encoder(self, vit: vit.resized(to: side))
  }

  /// Every token after the final norm.
  ///
  /// - Shapes: images [B, 3, S, S] -> [B, C + L, D]
  public func tokens(_ images: Tensor) -> Tensor { withoutGradient { vit(images).value } }

  /// What features of this encoder say about where they come from.
  public var origin: FeatureOrigin { FeatureOrigin(checkpoint: path, weights: weights) }
}
