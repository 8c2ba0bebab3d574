import Checkpoints
import Foundation
import Layers
import Messaging
import TestKit

/// A checkpoint of encoders with random weights, in a directory that all ranks see.
final class SmallCheckpoint {
  static let configuration = ViTConfiguration(width: 16, depth: 3, heads: 2, patch: 4, imgSize: 16)

  let path: String
  /// The encoders of the file by the names of their weights.
  let encoders: [String: ViT]
  private let arenas: [ParameterArena]

  /// - Parameters:
  ///   - names: of the encoders, each with weights of its own.
  ///   - more: of the settings, as JSON members with a comma in front.
  /// - Collective: all ranks.
  init(
    _ communicator: Communicator, names: [String] = ["student"], classTokens: Int = 1, method: String = "mae",
    model: String = #"{"arch":"vit_tiny_patch4_32","width":16,"depth":3,"heads":2,"patch":4,"img_size":16}"#,
    more: String = ""
  ) throws {
    var encoders: [String: ViT] = [:]
    var (arenas, tensors): ([ParameterArena], [NamedTensor]) = ([], [])
    for (place, name) in names.enumerated() {
      let builder = ModelBuilder(seed: UInt64(place))
      encoders[name] = ViT(SmallCheckpoint.configuration, builder, classTokens: classTokens)
      let arena = builder.build()
      // The first values of norms and biases would hide a mistake in them.
      let noise = ExactRandom.floats(arena.count, seed: UInt64(7 + place))
      for (i, value) in noise.enumerated() { arena.weights.pointer[i] += 0.1 * value }
      tensors += arena.parameters.map {
        NamedTensor(name: "\(name)/\($0.name)", shape: $0.shape.dims, payload: .float32($0.value.pointer))
      }
      arenas.append(arena)
    }
    self.encoders = encoders
    self.arenas = arenas
    let directory = try communicator.broadcast(communicator.isCoordinator ? temporaryDirectory("weights") : "")
    let header = CheckpointHeader(
      step: 1, epoch: 1, imagesSeen: 8, seed: 0, globalBatch: 8,
      config:
        #"{"method":"\#(method)","model":\#(model),"augment":{"mean":[0.5,0.4,0.3],"std":[0.2,0.3,0.4]}\#(more)}"#,
      configHash: "0", worldSize: communicator.size, method: method, model: "small")
    path = try CheckpointWriter.save(
      tensors, header: header, directory: "\(directory)/checkpoints/\(method)", verify: false,
      communicator: communicator)
  }
}
