import Basics

/// The settings of a run that every method shares. A method reads its own section itself.
public struct RunSettings: Sendable {
  /// The method of settings that name none.
  public static let defaultMethod = "mae"

  /// The name of the run and of its directory.
  public let name: String
  /// The name of the method.
  public let method: String
  /// The first key of every random draw.
  public let seed: UInt64
  /// The network.
  public let model: ModelSettings
  /// The images.
  public let data: DataSettings
  /// The views of an image.
  public let augment: AugmentSettings
  /// The optimiser.
  public let optim: OptimSettings
  /// The course of the learning rate.
  public let schedule: ScheduleSettings
  /// Batch and length.
  public let train: TrainSettings
  /// Measurements during training.
  public let eval: EvalSettings
  /// When and how to save.
  public let checkpoint: CheckpointSettings
  /// What is written about the run.
  public let log: LogSettings
  /// The machine.
  public let runtime: RuntimeSettings

  /// Reads and checks all shared settings. Call `tree.finish()` when the method has read its section too.
  ///
  /// - Parameter isTemplate: data and length may still be missing, because nothing will run: for `config explain`.
  /// - Throws: bad config. What is misspelt is reported before what is missing.
  public init(from tree: SettingsTree, isTemplate: Bool = false) throws(Failure) {
    try self.init(reading: tree, isTemplate: isTemplate, isStored: false)
  }

  /// Reads the settings that a checkpoint keeps, of a run or of a stage. What they say besides, for its method or in
  /// another version of the program, is passed over.
  ///
  /// - Parameter text: YAML or JSON.
  /// - Throws: bad config for a value that is wrong.
  public init(stored text: String, named name: String) throws(Failure) {
    try self.init(reading: try SettingsTree.parse(text, named: name), isTemplate: true, isStored: true)
  }

  private init(reading tree: SettingsTree, isTemplate: Bool, isStored: Bool) throws(Failure) {
    let root = tree.section("")
    let givenName = try root.optionalString("name", "name of the run and of its directory; method and model by default")
    method = try root.string(
      "method", default: RunSettings.defaultMethod, "pre-training method; see sslmpi list methods")
    seed = UInt64(try root.int("seed", default: 0, in: 0..., "first key of every random draw"))
    model = try ModelSettings(tree.section("model"))
    let source = tree.section("data")
    let train = try source.optionalPath(
      "train", "training images: a folder, or folder:DIR, list:FILE, synth:tinyshapes?n=2000&size=32")
    augment = try AugmentSettings(tree.section("augment"))
    optim = try OptimSettings(tree.section("optim"))
    schedule = try ScheduleSettings(tree.section("schedule"))
    self.train = try TrainSettings(tree.section("train"))
    eval = try EvalSettings(tree.section("eval"))
    checkpoint = try CheckpointSettings(tree.section("checkpoint"))
    log = try LogSettings(tree.section("log"))
    runtime = try RuntimeSettings(tree.section("runtime"))
    data = try DataSettings(source, train: train ?? "")
    name = givenName ?? "\(method)-\(model.arch)"

    if !isStored { try tree.rejectUnknownOutsideMethods() }
    try RunSettings.checkName(name, root)
    guard !isTemplate else { return }
    try self.train.checkLength(tree.section("train"))
    guard train != nil else {
      throw Failure(
        .badConfig, "data.train is not set: there are no images to train on", at: tree.origin(of: "data"),
        hint: "add --data DIR, or --data \"synth:tinyshapes?n=2000&size=32\" for generated images")
    }
  }

  private static func checkName(_ name: String, _ root: Section) throws(Failure) {
    let allowed = name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }
    guard allowed, let first = name.first, first != ".", first != "-" else {
      throw root.failure(
        "name", "'\(name)' cannot name a directory", hint: "use letters, digits, '.', '_' and '-'")
    }
  }
}

/// The section `model:`.
public struct ModelSettings: Sendable {
  /// A timm name, for example `vit_base_patch16_224`.
  public let arch: String
  /// Replace single sizes of `arch`.
  public let width, depth, heads, patch, imgSize, inChans: Int?
  /// Where the positions of the patches come from: `sincos`, `stored`.
  public let positions: String
  /// The decoder of methods that have one.
  public let decoder: DecoderSettings

  init(_ section: Section) throws(Failure) {
    arch = try section.string(
      "arch", default: "vit_small_patch16_224", "model by its timm name; see sslmpi list models")
    func size(_ key: String, _ meaning: String, unit: String = "") throws(Failure) -> Int? {
      try section.optionalInt(key, in: 1...65536, unit: unit, "\(meaning); null keeps that of arch")
    }
    width = try size("width", "width of a token")
    depth = try size("depth", "number of blocks")
    heads = try size("heads", "attention heads")
    patch = try size("patch", "side of a patch", unit: "pixels")
    imgSize = try size("img_size", "side of the square input", unit: "pixels")
    inChans = try size("in_chans", "channels of the input")
    positions = try section.choice(
      "pos_embed", default: "sincos", ["sincos", "stored"],
      "positions of the patches; stored for a model imported with a table of its own, which is not trained")
    decoder = try DecoderSettings(section.section("decoder"))
  }
}

/// The section `model.decoder:`.
public struct DecoderSettings: Sendable {
  /// Width of a token.
  public let dim: Int
  /// Number of blocks.
  public let depth: Int
  /// Attention heads.
  public let heads: Int

  init(_ section: Section) throws(Failure) {
    dim = try section.int("dim", default: 512, in: 1...65536, "width of a decoder token")
    depth = try section.int("depth", default: 8, in: 1...1024, "number of decoder blocks")
    heads = try section.int("heads", default: 16, in: 1...1024, "attention heads of the decoder")
  }
}

/// The section `data:`.
public struct DataSettings: Sendable {
  /// The address of the training images.
  public let train: String
  /// The address of labelled images for measurements.
  public let val: String?
  /// Whether the first level of folders gives the labels.
  public let labels: Bool
  /// Decoding threads of a rank; chosen by the program when nil.
  public let workers: Int?
  /// Batches made ready ahead of time.
  public let prefetch: Int
  /// The part of images that may be broken.
  public let maxBad: Double

  init(_ section: Section, train: String) throws(Failure) {
    self.train = train
    val = try section.optionalPath("val", "labelled images for k-NN; null holds out every fifth training image")
    labels = try section.bool("labels", default: false, "take labels from the first level of folders")
    workers = try section.optionalInt(
      "workers", in: 0...256, absent: "auto", unit: "threads", "image decoding threads of a rank")
    prefetch = try section.int("prefetch", default: 2, in: 1...64, unit: "batches", "batches made ready ahead of time")
    maxBad = try section.double(
      "max_bad", default: 0.01, in: 0.0...1.0, "part of the images that may be broken before the run stops")
  }
}

/// The section `augment:`.
public struct AugmentSettings: Sendable {
  /// Smallest and largest part of the image's area that a crop takes.
  public let cropScale: (Double, Double)
  /// Narrowest and widest aspect ratio of a crop.
  public let cropRatio: (Double, Double)
  /// Probability of a horizontal flip.
  public let hflip: Double
  /// What may happen to the colours of a view.
  public let colour: ColourSettings
  /// Views of each image in a step.
  public let views: Int
  /// Mean of each channel, subtracted from pixels in 0 ... 1.
  public let mean: [Double]
  /// Standard deviation of each channel.
  public let std: [Double]

  init(_ section: Section) throws(Failure) {
    cropScale = try section.limits(
      "crop_scale", default: (0.2, 1), in: 0.0001...1, "part of the area that a crop takes: [smallest, largest]")
    cropRatio = try section.limits(
      "crop_ratio", default: (3.0 / 4, 4.0 / 3), in: 0.01...100, "width over height of a crop: [narrowest, widest]")
    hflip = try section.double("hflip", default: 0.5, in: 0.0...1, unit: "probability", "horizontal flip")
    colour = try ColourSettings(section)
    views = try section.int("views", default: 1, in: 1...64, "views of each image in a step")
    mean = try section.doubles(
      "mean", default: [0.485, 0.456, 0.406], in: -10.0...10, "subtracted from each channel of pixels in 0 ... 1")
    std = try section.doubles(
      "std", default: [0.229, 0.224, 0.225], in: 0.0001...10, "each channel is divided by this")
    guard mean.count == std.count else {
      throw section.failure("std", "augment.mean has \(mean.count) channels and augment.std has \(std.count)")
    }
  }
}
