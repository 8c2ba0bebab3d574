import Basics

/// The section `optim:`.
public struct OptimSettings: Sendable {
  /// The optimiser.
  public let name: String
  /// Learning rate for 256 images.
  public let baseLR: Double
  /// The peak learning rate itself; replaces `baseLR` and the rule.
  public let lr: Double?
  /// How the peak follows from `baseLR`.
  public let lrScaleRule: String
  /// Decay of the first and the second moment.
  public let betas: (Double, Double)
  /// Added to the root of the second moment.
  public let eps: Double
  /// Decoupled weight decay.
  public let weightDecay: Double
  /// Length of the linear rise.
  public let warmup: Interval
  /// Each block learns at this part of the rate of the one above it; nil for one rate.
  public let layerDecay: Double?
  /// What differs for the head.
  public let head: HeadOptimSettings

  init(_ section: Section) throws(Failure) {
    name = try section.choice("name", default: "adamw", ["adamw"], "optimiser")
    baseLR = try section.double(
      "base_lr", default: 1.5e-4, in: 0.0...100, "learning rate per 256 images; see lr_scale_rule")
    lr = try section.optionalDouble("lr", in: 0.0...100, "peak learning rate; replaces base_lr and lr_scale_rule")
    lrScaleRule = try section.choice(
      "lr_scale_rule", default: "linear256", ["linear256", "none"],
      "peak = base_lr * batch_size * views / 256, or base_lr itself")
    let pair = try section.doubles(
      "betas", default: [0.9, 0.95], count: 2, in: 0.0..<1, "decay of the first and second moment")
    betas = (pair[0], pair[1])
    eps = try section.double("eps", default: 1e-8, in: 0.0...1, "added to the root of the second moment")
    weightDecay = try section.double(
      "weight_decay", default: 0.05, in: 0.0...10, "decoupled; biases and parameters of one dimension have none")
    warmup = try section.interval(
      "warmup", default: .epochs(20), isLength: true, "linear rise of the learning rate; warmup_epochs: N is the same")
    layerDecay = try section.optionalDouble(
      "layer_decay", in: 0.0001...1, "part of the learning rate that a block has of the one above it; null for one rate"
    )
    head = try HeadOptimSettings(section.section("head"))
  }
}

/// The section `optim.head:`.
public struct HeadOptimSettings: Sendable {
  /// Learning rate for 256 images; that of the rest when nil.
  public let baseLR: Double?
  /// Decoupled weight decay; that of the rest when nil.
  public let weightDecay: Double?

  init(_ section: Section) throws(Failure) {
    baseLR = try section.optionalDouble(
      "base_lr", in: 0.0...100, "learning rate of the head per 256 images; null is that of the rest")
    weightDecay = try section.optionalDouble(
      "weight_decay", in: 0.0...10, "weight decay of the head; null is that of the rest")
  }
}

/// The section `schedule:`.
public struct ScheduleSettings: Sendable {
  /// The shape after the warm-up.
  public let kind: String
  /// What the learning rate falls towards.
  public let minLR: Double

  init(_ section: Section) throws(Failure) {
    kind = try section.choice("kind", default: "cosine", ["cosine"], "shape of the learning rate after the warm-up")
    minLR = try section.double("min_lr", default: 0, in: 0.0...100, "what the learning rate falls towards")
  }
}

/// The section `train:`.
public struct TrainSettings: Sendable {
  /// Images of a step, over all ranks.
  public let batchSize: Int
  /// Images of a rank that pass at once; all when nil.
  public let microBatch: Int?
  /// Length in passes over the data.
  public let epochs: Double?
  /// Length in updates.
  public let maxSteps: Int?
  /// Updates of this start after which the run stops as if asked to.
  public let stopAfter: Int?
  /// Limit of the gradient norm.
  public let clipGrad: Double?
  /// What backward computes again instead of keeping it: `none`, `attention` or `block`.
  public let recompute: String

  init(_ section: Section) throws(Failure) {
    batchSize = try section.int(
      "batch_size", default: 256, in: 1...16_777_216, unit: "images", "global batch: images of a step over all ranks")
    microBatch = try section.optionalInt(
      "micro_batch", in: 1...16_777_216, absent: "auto", unit: "images",
      "images of a rank that pass at once; auto takes the rank's whole share")
    epochs = try section.optionalDouble(
      "epochs", in: 0.000001...1e6, unit: "epochs", "length of the run; or train.max_steps")
    maxSteps = try section.optionalInt(
      "max_steps", in: 1..., unit: "steps", "length of the run; or train.epochs")
    stopAfter = try section.optionalInt(
      "stop_after", in: 1..., unit: "steps", "stop after this many steps of this start (and stage), exit 75")
    clipGrad = try section.optionalDouble("clip_grad", in: 1e-12...1e12, "largest gradient norm; null does not clip")
    recompute = try section.choice(
      "recompute", default: "none", ["none", "attention", "block"],
      "activations computed again in backward: none keeps 10 widths a token and block, attention 7, block 1")
  }

  /// - Throws: bad config unless exactly one of the two lengths is set.
  func checkLength(_ section: Section) throws(Failure) {
    switch (epochs, maxSteps) {
    case (nil, nil):
      throw Failure(
        .badConfig,
        "the length of \(section.stage.map { "stage \($0)" } ?? "the run") is not set: neither train.epochs nor "
          + "train.max_steps",
        hint: section.stage.map { "add for example epochs: 20 to the stage, or stages.\($0).epochs=20" }
          ?? "add for example --epochs 100 or train.max_steps=1000")
    case (.some, .some):
      throw section.failure(
        "max_steps",
        "the length of \(section.stage.map { "stage \($0)" } ?? "the run") is set twice: train.epochs and "
          + "train.max_steps",
        hint: "switch one off: train.epochs=null or train.max_steps=null")
    default: return
    }
  }
}

/// The section `eval:`.
public struct EvalSettings: Sendable {
  /// How often k-NN is measured.
  public let every: Interval
  /// The k-NN monitor.
  public let knn: KNNSettings
  /// The collapse monitor.
  public let health: HealthSettings

  init(_ section: Section) throws(Failure) {
    every = try section.interval("every", default: .epochs(10), "k-NN on frozen features; needs labels")
    knn = try KNNSettings(section.section("knn"))
    health = try HealthSettings(section.section("health"))
  }
}

/// The section `eval.knn:`.
public struct KNNSettings: Sendable {
  /// Numbers of neighbours that vote.
  public let k: [Int]
  /// Votes weigh exp(cosine / temperature).
  public let temperature: Double
  /// Whether features get mean 0 and deviation 1 over the bank before they are normalised.
  public let standardise: Bool
  /// Most images to compare with.
  public let bank: Int
  /// Most images to classify.
  public let queries: Int

  init(_ section: Section) throws(Failure) {
    k = try section.ints("k", default: [10, 20], in: 1...10_000, "numbers of neighbours that vote")
    temperature = try section.double(
      "temperature", default: 0.07, in: 0.0001...100, "votes weigh exp(cosine / temperature)")
    standardise = try section.bool(
      "standardise", default: false, "features get mean 0 and deviation 1 over the bank first, as MAE-CT's monitor does"
    )
    bank = try section.int("bank", default: 20_000, in: 1..., unit: "images", "most images to compare with")
    queries = try section.int("queries", default: 2000, in: 1..., unit: "images", "most images to classify")
  }
}

/// The section `eval.health:`.
public struct HealthSettings: Sendable {
  /// How often spread and rank of the features are measured.
  public let every: Interval

  init(_ section: Section) throws(Failure) {
    every = try section.interval("every", default: .steps(200), "spread and effective rank of the features")
  }
}

/// The section `checkpoint:`.
public struct CheckpointSettings: Sendable {
  /// When to save; the end of the run is always saved.
  public let every: [Interval]
  /// How many of the newest stay.
  public let keepLast: Int
  /// Which ones stay for good.
  public let keepEvery: Interval
  /// Whether a file is read back before it counts.
  public let verify: Bool
  /// How it is written.
  public let engine: String

  init(_ section: Section) throws(Failure) {
    every = try section.intervals(
      "every", default: [.epochs(1), .minutes(30)], "when to save; the end is always saved")
    keepLast = try section.int(
      "keep_last", default: 3, in: 1...1_000_000, unit: "files", "newest checkpoints that stay")
    keepEvery = try section.interval("keep_every", default: .never, "checkpoints that stay for good")
    verify = try section.bool("verify", default: true, "read a checkpoint back before it counts")
    engine = try section.choice(
      "engine", default: "direct", ["direct", "mpiio"], "direct: every rank writes its share; mpiio: parallel HDF5")
  }
}

/// The section `log:`.
public struct LogSettings: Sendable {
  /// How often a line of metrics is written.
  public let every: Interval
  /// Whether each epoch and each checkpoint gets a line of what it cost.
  public let cost: Bool
  /// TensorBoard event files; false, since they are not there yet.
  public let tensorboard: Bool
  /// Pictures of what the method does.
  public let images: PictureSettings

  init(_ section: Section) throws(Failure) {
    every = try section.interval("every", default: .steps(20), "a line of metrics and of progress")
    cost = try section.bool("cost", default: true, "a line of what an epoch cost, and of the steps up to a checkpoint")
    tensorboard = try section.bool("tensorboard", default: false, "TensorBoard event files: not available yet")
    guard !tensorboard else {
      throw section.failure(
        "tensorboard", "TensorBoard files are not available yet", hint: "metrics.jsonl holds every number")
    }
    images = try PictureSettings(section.section("images"))
  }
}

/// The section `log.images:`.
public struct PictureSettings: Sendable {
  /// How often a sheet of pictures is written.
  public let every: Interval
  /// Images on it.
  public let count: Int

  init(_ section: Section) throws(Failure) {
    every = try section.interval("every", default: .epochs(10), "a sheet of pictures in viz/")
    count = try section.int("count", default: 8, in: 1...64, unit: "images", "images on a sheet")
  }
}

/// The section `runtime:`.
public struct RuntimeSettings: Sendable {
  /// Compute threads of a rank; its share of the cores it may use when nil.
  public let threads: Int?
  /// The instruction set of the kernels.
  public let isa: String
  /// What multiplies large matrices: `isa`, `auto`, or an engine: `native`, `openblas`, `onednn`.
  public let gemm: String
  /// Size of a gradient bucket.
  /// - Units: bytes.
  public let bucketBytes: Int
  /// Whether buckets are summed while backward goes on.
  public let overlap: Bool
  /// How gradients are summed: `auto`, `window` or `mpi`.
  public let allReduce: String
  /// Seconds without progress after which the job ends.
  public let hangTimeout: Double
  /// Seconds after which the run saves and ends.
  public let timeLimit: Double?

  init(_ section: Section) throws(Failure) {
    threads = try section.optionalInt(
      "threads", in: 1...1024, absent: "auto",
      "compute threads of a rank; auto is the cores it may use, divided by the ranks that share them")
    isa = try section.choice(
      "isa", default: "auto", ["auto", "baseline", "avx2", "avx512"], "instruction set of the kernels")
    gemm = try section.choice(
      "gemm", default: "isa", ["isa", "auto", "native", "openblas", "onednn"],
      "what multiplies matrices; isa is native with avx512, else openblas; auto measures and keeps it in gemm.json")
    let comm = section.section("comm")
    let bucketMiB = try comm.double(
      "bucket_mib", default: 25, in: 0.001...65536, unit: "MiB", "gradients that are summed over ranks in one message")
    bucketBytes = Int(bucketMiB * 1_048_576)
    overlap = try comm.bool("overlap", default: true, "sum gradients over ranks while backward goes on")
    allReduce = try comm.choice(
      "allreduce", default: "auto", ["auto", "window", "mpi"],
      "sums of gradients: window is memory shared by the ranks of a node, auto takes it if it can be had, else mpi")
    hangTimeout = try section.seconds(
      "hang_timeout", default: 600, "a rank without progress for this long ends the job, exit 5")
    timeLimit = try section.optionalSeconds(
      "time_limit", absent: "env",
      "save and stop after this long, exit 75; SSLMPI_DEADLINE (seconds since 1970) is heeded in any case")
  }
}
