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
  private let model: Model
  private let arena: ParameterArena
  /// Which engines multiply.
  let products: String
  /// Why gradients are copied for their sums; nil when nothing stands in the way.
  let obstacle: String?
  private let optimizer: AdamW
  private let buckets: GradientBuckets
  private let ranks: Int
  private var index = 0
  /// Bytes of the pool that the last forward pass left in use.
  private(set) var liveBytesAfterForward = 0
  /// Images of a step over all ranks.
  let imagesPerStep: Int
  /// Analytic operations of one image and step.
  var flopsPerImage: Double { model.flopsPerImage }
  /// The sizes of the encoder.
  var encoder: ViTConfiguration { model.encoder }
  /// The tokens of an image in the encoder.
  var tokens: Int { model.tokens }
  /// The floats of one pass over what enters the blocks, on one rank: images x sum of (tokens x width) over blocks.
  let blockFloats: Int

  /// What is trained.
  private struct Model {
    let builder: ModelBuilder
    let encoder: ViTConfiguration
    let tokens: Int
    let flopsPerImage: Double
    /// The sum of tokens x width over all blocks.
    let blockFloatsPerImage: Int
    let loss: (StepContext) throws -> Variable
    /// What is trained, when it is more than a bare encoder.
    let method: (any Method)?
  }

  /// Builds the model of a workload.
  ///
  /// - Throws: bad config when the sizes do not fit together.
  /// - Collective: all ranks.
  init(_ options: StepBenchmark.Options, _ communicator: Communicator) throws {
    model =
      options.workload.isMethod
      ? try BenchedModel.method(options, communicator) : try BenchedModel.encoder(options, communicator)
    arena = model.builder.build()
    try model.method?.attach(to: arena)
    try model.method?.open()
    products = try ProductChoice.settle(options.gemm, arena, earlier: nil, communicator).summary
    optimizer = AdamW(
      arena: arena, groups: model.method?.parameterGroups(arena) ?? ParameterGroup.split(arena), betas: (0.9, 0.95))
    let shared = try SharedGradients(of: arena, communicator)
    obstacle = shared.obstacle
    buckets = GradientBuckets(arena: arena, communicator: communicator, shared: shared)
    ranks = communicator.size
    imagesPerStep = options.batch * ranks
    blockFloats = options.batch * model.blockFloatsPerImage
  }

  /// Forward, backward with reduction, update.
  ///
  /// - Collective: all ranks.
  func step() throws {
    let context = StepContext(step: index, totalSteps: 1 << 20, stepsPerEpoch: 1 << 20, seed: 0)
    let value = try model.loss(context)
    liveBytesAfterForward = StoragePool.bytesInUse
    try buckets.zeroGradients()
    buckets.arm()
    value.backward(seed: 1 / Float(ranks))
    _ = try OpClock.measure(.communication) { try buckets.finish() }
    optimizer.update(UpdateContext(rate: 1e-4, weightDecay: 0.05))
    buckets.release()
    try model.method?.afterUpdate(context)
    index += 1
  }

  private static func randomPixels(_ count: Int, side: Int, rank: Int) -> Tensor {
    let pixels = Tensor(uninitialized: [count, 3, side, side])
    var stream = RandomStream(seed: 1, purpose: .probe, index: rank)
    for i in 0..<pixels.count { pixels.pointer[i] = Float(stream.normal()) }
    return pixels
  }

  /// What makes a method of a workload: its name, its stage when it has any, and settings.
  private static func recipe(
    _ workload: StepBenchmark.Workload
  ) -> (method: String, stage: String?, settings: [String]) {
    switch workload {
    case .maect_head_b16: ("mae-ct", "head", [])
    case .maect_tune_b16: ("mae-ct", "tune", [])
    case .maect_tune_all_b16: ("mae-ct", "tune", ["stages.tune.freeze=none"])
    default: ("mae", nil, [])
    }
  }

  private static func method(_ options: StepBenchmark.Options, _ communicator: Communicator) throws -> Model {
    let recipe = recipe(options.workload)
    let name = recipe.method
    let arch = options.workload == .mae_s16 ? "vit_small_patch16_224" : "vit_base_patch16_224"
    let globalBatch = options.batch * communicator.size
    let tree = try SettingsTree.load(
      files: [], preset: nil,
      overrides: [
        "method=\(name)", "model.arch=\(arch)", "data.train=synth:tinyshapes", "train.batch_size=\(globalBatch)",
        "train.max_steps=1", "train.recompute=\(options.recompute.rawValue)",
      ] + recipe.settings)
    let staged = try StagedSettings(tree, method: name, stages: MethodRegistry.entry(named: name).stages.map(\.name))
    guard let part = staged.stages.first(where: { recipe.stage == nil || $0.name == recipe.stage }) else {
      throw Failure(.internalError, "the benchmark's stage \(recipe.stage ?? name) does not exist")
    }
    let settings = try RunSettings(from: part.tree)
    let context = try MethodContext(
      settings: settings, tree: part.tree, stage: part.settings, communicator: communicator)
    let method = try MethodRegistry.make(name, context)
    let images = Array(0..<options.batch)
    let batch = Batch(
      views: method.views.views.indices.map {
        randomPixels(options.batch, side: context.vit.imgSize, rank: communicator.rank + $0 * communicator.size)
      }, indices: images, sampled: images, labels: images.map { _ in -1 }, epoch: 0, globalBatch: globalBatch)
    let (vit, decoder) = (context.vit, context.decoder)
    let visible = recipe.stage == nil ? Mask.kept(of: vit.tokens, ratio: 0.75) : vit.tokens
    let decoding = recipe.stage == nil ? decoder.depth * (1 + vit.tokens) * decoder.width : 0
    return Model(
      builder: context.builder, encoder: vit, tokens: 1 + visible, flopsPerImage: method.flopsPerImage,
      blockFloatsPerImage: batch.views.count * vit.depth * (1 + visible) * vit.width + decoding,
      loss: { step in try method.loss(batch, at: step).total }, method: method)
  }

  private static func encoder(_ options: StepBenchmark.Options, _ communicator: Communicator) throws -> Model {
    let (configuration, visible) = try StepBenchmark.encoder(options.workload, options.sizes)
    let builder = ModelBuilder(seed: 0, recompute: options.recompute)
    let encoder = ViT(configuration, builder)
    let pixels = randomPixels(options.batch, side: configuration.imgSize, rank: communicator.rank)
    let order = (0..<options.batch).flatMap { _ in 0..<Int32(configuration.tokens) }
    let mask = visible.map { Mask(shuffle: order, tokens: configuration.tokens, keep: $0) }
    let tokens = 1 + (visible ?? configuration.tokens)
    return Model(
      builder: builder, encoder: configuration, tokens: tokens,
      flopsPerImage: configuration.cost(visible: visible).trainingFlops,
      blockFloatsPerImage: configuration.depth * tokens * configuration.width,
      loss: { _ in mean(encoder(pixels, keep: mask)) }, method: nil)
  }
}

extension StepBenchmark {
  /// The encoder of a workload with other sizes, and how many of its patches are seen: nil for all.
  ///
  /// - Throws: bad config when the sizes do not fit together.
  static func encoder(_ workload: Workload, _ sizes: Sizes) throws -> (ViTConfiguration, visible: Int?) {
    let name: String
    switch workload {
    case .ti4_32: name = "vit_tiny_patch4_32"
    case .vit_b16, .mae_b16, .maect_head_b16, .maect_tune_b16, .maect_tune_all_b16: name = "vit_base_patch16_224"
    case .vit_s16, .mae_s16: name = "vit_small_patch16_224"
    }
    guard var configuration = ViTConfiguration.named(name) else {
      throw Failure(.internalError, "the benchmark's model \(name) does not exist")
    }
    configuration.width = sizes.width ?? configuration.width
    configuration.depth = sizes.depth ?? configuration.depth
    configuration.heads = sizes.heads ?? configuration.heads
    guard let tokens = sizes.tokens else { return (try checked(configuration), nil) }
    guard tokens > 1 else {
      throw Failure(.badConfig, "\(tokens) tokens: the class token and at least one patch are needed")
    }
    var grid = 1
    while grid * grid < tokens - 1 { grid += 1 }
    configuration.imgSize = grid * configuration.patch
    return (try checked(configuration), tokens - 1 == configuration.tokens ? nil : tokens - 1)
  }

  private static func checked(_ configuration: ViTConfiguration) throws -> ViTConfiguration {
    if let obstacle = configuration.obstacle { throw Failure(.badConfig, obstacle) }
    return configuration
  }
}
