import Autodiff
import Basics
import Checkpoints
import Layers
import Messaging
import Methods
import Settings
import Tensors

// Shapes: B images, L patches, k visible ones, D width, d = 3 P^2.

/// The masked autoencoder of a checkpoint: the encoder as it was trained, with its decoder.
public final class Autoencoder {
  /// The encoder's sizes.
  public let configuration: ViTConfiguration
  /// The part of the patches that was removed in training.
  public let maskRatio: Double
  /// Whether patches of mean 0 and variance 1 are predicted, not pixels.
  public let predictsNormalisedPatches: Bool
  private let encoder: ViT
  private let decoder: MAEDecoder
  private let arena: ParameterArena

  /// Reads encoder and decoder of a checkpoint.
  ///
  /// - Throws: code 66 when there is no file, 65 when it is damaged or holds no decoder.
  /// - Collective: all ranks of `communicator`.
  public init(_ path: String, communicator: Communicator) throws {
    let index = try CheckpointReader.compare([], with: path, communicator: communicator)
    guard index.unexpected.contains("student/decoder.pred.weight") else {
      throw Failure(
        .badData, "the checkpoint has no decoder: the stage '\(index.header.stage)' trains none", at: path,
        hint: "take a checkpoint of MAE, or of the stage 'mae'")
    }
    let settings = try RunSettings(stored: index.header.config, named: path)
    let tree = try SettingsTree.parse(index.header.config, named: path)
    let context = try MethodContext(settings: settings, tree: tree, communicator: communicator)
    let options = try MAEOptions(context)
    context.builder.freezes = { _ in true }
    configuration = context.vit
    maskRatio = options.maskRatio
    predictsNormalisedPatches = options.normalizesTargets
    encoder = ViT(context.vit, context.builder)
    decoder = MAEDecoder(context.decoder, of: context.vit, context.builder)
    arena = context.builder.build()
    let tensors = arena.parameters.map { parameter in
      NamedTensor(
        name: "student/\(parameter.name)", shape: parameter.shape.dims, payload: .float32(parameter.value.pointer))
    }
    _ = try CheckpointReader.load(into: tensors, from: path, communicator: communicator, allowUnexpected: true)
  }

  /// Refuses images of another side: the decoder's positions are those of training.
  public func requireSide(_ side: Int) throws(Failure) {
    guard side == configuration.imgSize else {
      throw Failure(
        .usage, "the decoder was trained on \(configuration.imgSize) pixels, not \(side)", at: "--size",
        hint: "leave --size out")
    }
  }

  /// What the decoder makes of the output of some blocks of the encoder, the final norm between them.
  ///
  /// - Parameter blocks: numbers of blocks, 1 ... depth.
  /// - Shapes: images [B, 3, S, S] -> for each block [B, L, d]
  public func predicted(_ images: Tensor, _ mask: Mask, after blocks: [Int]) -> [Tensor] {
    withoutGradient {
      encoder.encoded(images, keep: mask, taps: blocks).taps.map { tokens in
        decoder(encoder.normalized(tokens), mask).value
      }
    }
  }
}
