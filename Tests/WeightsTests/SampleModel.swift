import Autodiff
import Checkpoints
import Layers
import Messaging
import TestKit
import Tensors

/// A checkpoint of an encoder, with or without a decoder, in a directory that all ranks see.
final class SampleModel {
  let path: String
  /// The directory of the checkpoint, for further files.
  let directory: String
  let vit: ViT
  let decoder: MAEDecoder?
  let arena: ParameterArena

  /// - Parameter values: the numbers of a parameter; random ones when nil.
  /// - Collective: all ranks.
  init(
    _ communicator: Communicator, _ c: ViTConfiguration, decoder: DecoderConfiguration? = nil, classTokens: Int = 1,
    values: (Parameter) -> [Float]? = { _ in nil }
  ) throws {
    let builder = ModelBuilder(seed: 11)
    builder.freezes = { _ in true }
    vit = ViT(c, builder, classTokens: classTokens)
    self.decoder = decoder.map { MAEDecoder($0, of: c, builder) }
    arena = builder.build()
    for (place, parameter) in arena.parameters.enumerated() {
      let noise = ExactRandom.floats(parameter.shape.count, seed: UInt64(place))
      let values = values(parameter) ?? zip(parameter.value.array, noise).map { $0 + 0.1 * $1 }
      parameter.value.assign(Tensor(values, parameter.shape))
    }
    let sizes = decoder ?? DecoderConfiguration()
    let config = """
      {"method":"mae","model":{"arch":"vit_tiny_patch4_32","width":\(c.width),"depth":\(c.depth),"heads":\(c.heads),
      "patch":\(c.patch),"img_size":\(c.imgSize),"pos_embed":"\(c.positions.rawValue)","decoder":
      {"dim":\(sizes.width),"depth":\(sizes.depth),"heads":\(sizes.heads)}},
      "augment":{"mean":[0.5,0.4,0.3],"std":[0.2,0.3,0.4]}}
      """
    directory = try communicator.broadcast(communicator.isCoordinator ? temporaryDirectory("exchange") : "")
    path = directory + "/model.h5"
    let header = CheckpointHeader(
      step: 1, epoch: 1, imagesSeen: 8, seed: 0, globalBatch: 8, config: config, configHash: "0",
      worldSize: communicator.size, method: "mae", model: "vit_tiny_patch4_32")
    try CheckpointWriter.write(
      arena.parameters.map {
        NamedTensor(name: "student/\($0.name)", shape: $0.shape.dims, payload: .float32($0.value.pointer))
      }, header: header, to: path, communicator: communicator)
  }

  /// All weights by name.
  var weights: [String: [Float]] { SampleModel.weights(of: arena) }

  static func weights(of arena: ParameterArena) -> [String: [Float]] {
    Dictionary(uniqueKeysWithValues: arena.parameters.map { ($0.name, $0.value.array) })
  }
}

/// The sequence of `tools/golden/mae.py`.
func goldenSequence(_ count: Int, seed: Int) -> [Double] {
  var state = UInt32(truncatingIfNeeded: seed) &* 2_654_435_761 &+ 12345
  return (0..<count).map { _ in
    state = state &* 1_664_525 &+ 1_013_904_223
    return Double(state >> 8) / 8_388_608 - 1
  }
}
