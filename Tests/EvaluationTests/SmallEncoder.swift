import Checkpoints
import Layers
import Messaging
import TestKit
import Weights

/// An encoder of width 16 on 16 x 16 pixels with random weights, read from a file that all ranks see.
///
/// - Collective: all ranks.
func smallEncoder(_ communicator: Communicator, classTokens: Int = 1) throws -> Encoder {
  let builder = ModelBuilder(seed: 3)
  let sizes = ViTConfiguration(width: 16, depth: 2, heads: 2, patch: 4, imgSize: 16)
  _ = ViT(sizes, builder, classTokens: classTokens)
  let arena = builder.build()
  let directory = try communicator.broadcast(communicator.isCoordinator ? temporaryDirectory("encoder") : "")
  let header = CheckpointHeader(
    step: 1, epoch: 1, imagesSeen: 8, seed: 0, globalBatch: 8,
    config: #"{"model":{"arch":"vit_tiny_patch4_32","width":16,"depth":2,"heads":2,"patch":4,"img_size":16}}"#,
    configHash: "0", worldSize: communicator.size, method: "mae", model: "small")
  let tensors = arena.parameters.map {
    NamedTensor(name: "student/\($0.name)", shape: $0.shape.dims, payload: .float32($0.value.pointer))
  }
  let path = try CheckpointWriter.save(
    tensors, header: header, directory: "\(directory)/checkpoints/mae", verify: false, communicator: communicator)
  return try Encoder(path, communicator: communicator)
}
