import Autodiff
import Basics
import Layers
import Messaging
import Methods
import Optimizers
import Parallelism
import Pipeline
import Settings
import Tensors

/// A model with its optimiser and one batch of random pixels.
final class BenchedModel {
  let arena: ParameterArena
  private let optimizer: AdamW
  private let buckets: GradientBuckets
  private let loss: (Int) throws -> Variable
  private var index = 0
  /// Bytes of the pool that the last forward pass left in use.
  private(set) var liveBytesAfterForward = 0
  let imagesPerStep: Int
  let flopsPerStep: Double
  /// Which engines multiply.
  var products = ""

  init(_ options: StepBenchmark.Options, _ communicator: Communicator) throws {
    let model = options.workload
    let builder: ModelBuilder
    let size = model == .ti4_32 ? 32 : 224
    let pixels = Tensor(uninitialized: [options.batch, 3, size, size])
    var stream = RandomStream(seed: 1, purpose: .probe, index: communicator.rank)
    for i in 0..<pixels.count { pixels.pointer[i] = Float(stream.normal()) }
    switch model {
    case .mae_s16, .mae_b16:
      let tree = try SettingsTree.load(
        files: [], preset: nil,
        overrides: [
          "method=mae", "model.arch=\(model == .mae_s16 ? "vit_small_patch16_224" : "vit_base_patch16_224")",
          "data.train=synth:tinyshapes", "train.batch_size=\(options.batch)", "train.max_steps=1",
          "train.recompute=\(options.recompute.rawValue)",
        ])
      let settings = try RunSettings(from: tree)
      let context = try MethodContext(settings: settings, section: tree.section("mae"), communicator: communicator)
      let method = try MethodRegistry.make("mae", context)
      builder = context.builder
      let images = Array(0..<options.batch)
      let batch = Batch(
        views: [pixels], indices: images, sampled: images, labels: images.map { _ in -1 }, epoch: 0,
        globalBatch: options.batch * communicator.size)
      flopsPerStep = method.flopsPerImage * Double(options.batch)
      loss = { step in
        try method.loss(
          batch, at: StepContext(step: step, totalSteps: 1 << 20, stepsPerEpoch: 1 << 20, seed: 0)
        ).total
      }
    case .ti4_32, .vit_s16, .vit_b16:
      let configuration = try StepBenchmark.encoder(model)
      builder = ModelBuilder(seed: 0, recompute: options.recompute)
      let encoder = ViT(configuration, builder)
      flopsPerStep = configuration.cost(visible: configuration.tokens).trainingFlops * Double(options.batch)
      loss = { _ in mean(encoder(pixels, keep: nil)) }
    }
    arena = builder.build()
    optimizer = AdamW(arena: arena, groups: ParameterGroup.split(arena), betas: (0.9, 0.95))
    buckets = GradientBuckets(arena: arena, communicator: communicator, bucketBytes: 25 << 20, overlap: true)
    imagesPerStep = options.batch
  }

  /// Forward, backward with reduction, update.
  func step() throws {
    arena.zeroGradients()
    let value = try loss(index)
    liveBytesAfterForward = StoragePool.bytesInUse
    buckets.arm()
    value.backward()
    _ = try OpClock.measure(.communication) { try buckets.finish() }
    OpClock.measure(.optimiser) { optimizer.update(UpdateContext(rate: 1e-4, weightDecay: 0.05)) }
    index += 1
  }
}

extension StepBenchmark {
  static func encoder(_ workload: Workload) throws -> ViTConfiguration {
    let name: String
    switch workload {
    case .ti4_32: name = "vit_tiny_patch4_32"
    case .vit_b16, .mae_b16: name = "vit_base_patch16_224"
    case .vit_s16, .mae_s16: name = "vit_small_patch16_224"
    }
    guard let configuration = ViTConfiguration.named(name) else {
      throw Failure(.internalError, "the benchmark's model \(name) does not exist")
    }
    return configuration
  }
}
