import Autodiff
import Basics
import Layers
import Messaging
import Methods
import Pipeline
import Settings
import TestKit
import Tensors
import XCTest

/// A method built from a configuration text, as the trainer builds it.
struct TinyRun {
  let method: any Method
  let arena: ParameterArena
  let context: MethodContext

  /// A model of 16 x 16 pixels and 16 patches, in which everything is small.
  static let tinyModel = """
    model:
      arch: vit_tiny_patch4_32
      width: 16
      depth: 2
      heads: 2
      img_size: 16
      decoder: {dim: 8, depth: 1, heads: 2}
    """

  init(
    _ name: String = "mae", stage: String? = nil, model: String = tinyModel, _ rest: String = "",
    batch: Int = 4, recompute: String = "none"
  ) throws {
    let text = """
      method: \(name)
      seed: 5
      data: {train: unused}
      train: {batch_size: \(batch), max_steps: 1, recompute: \(recompute)}
      \(model)
      \(rest)

      """
    let tree = try SettingsTree.parse(text, named: "test.yaml")
    let staged = try StagedSettings(
      tree, method: name, stages: MethodRegistry.entry(named: name).stages.map(\.name))
    let chosen = try XCTUnwrap(staged.stages.first { stage == nil || $0.settings.name == stage })
    context = try MethodContext(
      settings: RunSettings(from: chosen.tree), tree: chosen.tree, stage: chosen.settings,
      communicator: World.start().communicator)
    method = try MethodRegistry.make(name, context)
    try chosen.tree.finish()
    arena = context.builder.build()
    try method.attach(to: arena)
  }

  /// The first step of a run; draws are recorded when a recorder is given.
  func step(_ index: Int = 0, _ draws: DrawRecorder? = nil) -> StepContext {
    StepContext(step: index, totalSteps: 100, stepsPerEpoch: 10, seed: context.settings.seed, draws: draws)
  }

  /// Random images, one set of pixels per view.
  func batch(_ indices: [Int], textured: Bool = true, globalBatch: Int? = nil, epoch: Int = 0) -> Batch {
    let side = context.vit.imgSize
    let views = method.views.views.indices.map { view in
      let pixels = indices.flatMap { index in
        textured ? self.pixels(of: index, view: view) : [Float](repeating: Float(index), count: 3 * side * side)
      }
      return Tensor(pixels, [indices.count, 3, side, side])
    }
    return Batch(
      views: views, indices: indices, sampled: indices, labels: indices.map { _ in -1 }, epoch: epoch,
      globalBatch: globalBatch ?? indices.count)
  }

  /// The pixels of an image of `batch`.
  func pixels(of index: Int, view: Int) -> [Float] {
    ExactRandom.floats(3 * context.vit.imgSize * context.vit.imgSize, seed: UInt64(1000 * view + index))
  }
}
