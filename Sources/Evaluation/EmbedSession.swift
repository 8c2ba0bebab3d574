import Basics
import Features
import Images
import Messaging
import Pipeline
import Tensors
import Weights

/// What `sslmpi embed` is asked for.
public struct EmbedRequest: Sendable {
  /// A run directory or a checkpoint.
  public var target: String
  /// The address of the images.
  public var data: String
  /// A file, when it ends like one of HDF5, or a folder.
  public var out: String
  /// Kinds of feature; that of the encoder's method when there is nothing else to store.
  public var kinds: [String] = []
  /// Whether the images are stored too, as the encoder takes them.
  public var savesInputs = false
  /// nil for what the name of `out` says.
  public var format: FeatureFormat?
  /// Which weights of the checkpoint; the method's own when nil.
  public var weights: String?
  /// The side of the images in pixels; that of the encoder when nil.
  public var size: Int?
  /// How images are resized.
  public var interpolation = Interpolation.bicubic
  /// How features are extracted.
  public var batch = 32
  /// Whether an image that cannot be read is taken as the mean colour.
  public var allowsBadImages = false

  /// A request with the usual answers.
  public init(target: String, data: String, out: String) {
    self.target = target
    self.data = data
    self.out = out
  }
}

/// One call of `sslmpi embed`: images through an encoder into files.
public struct EmbedSession {
  private let request: EmbedRequest
  private let communicator: Communicator
  private let say: (String) -> Void

  /// Stores what is asked for.
  ///
  /// - Parameter say: hears what the user should know.
  /// - Throws: the failure of the lowest rank, on every rank; nothing is left of the file that was being written.
  /// - Collective: all ranks.
  public static func run(
    _ request: EmbedRequest, _ communicator: Communicator, say: @escaping (String) -> Void
  ) throws(Failure) {
    try EmbedSession(request: request, communicator: communicator, say: say).run()
  }

  private func run() throws(Failure) {
    let outputs = try communicator.agreed { () throws(Failure) in try self.outputs() }
    let target = try CheckpointTarget(request.target, communicator)
    target.notices.forEach(say)
    let found = try Encoder(target.path, weights: request.weights, communicator: communicator)
    let encoder = try request.size.map { (side) throws(Failure) in try found.resized(to: side) } ?? found
    var origin = encoder.origin
    origin.checkpointHash = try FileHash.sha256(target.path, communicator)
    let kinds = try self.kinds(encoder)
    for output in outputs { try store(output, encoder, kinds, origin) }
  }

  /// One file to write.
  private struct Output {
    let path: String
    let format: FeatureFormat
    let source: DataSource
  }

  private func outputs() throws(Failure) -> [Output] {
    let isFile = request.out.hasSuffix(".h5")
    let format = request.format ?? (isFile ? .h5 : .npy)
    guard !isFile || format == .h5 else {
      throw Failure(
        .usage, "npy features are a folder, and '\(request.out)' names a file of HDF5", at: "--out",
        hint: "leave out --format, or name a folder")
    }
    let splits = try DataSplits.open(request.data)
    if isFile { return [Output(path: request.out, format: format, source: try single(splits))] }
    var outputs: [Output] = []
    for split in splits.splits {
      let source = try splits.source(split)
      let isWhole = source.address == request.data && format == .npy
      let name = isWhole ? "" : "/\(split.rawValue)" + (format == .h5 ? ".h5" : "")
      outputs.append(Output(path: request.out + name, format: format, source: source))
    }
    return outputs
  }

  /// The images of an address that go into one file.
  private func single(_ splits: DataSplits) throws(Failure) -> DataSource {
    if splits.splits.count == 1 { return try splits.source(splits.splits[0]) }
    // Generated images without a split have one by default.
    if try splits.source(.train).shapes != nil { return try DataSource.open(request.data, labels: nil) }
    throw Failure(
      .usage, "the data have the parts train and val, and --out names one file", at: request.data,
      hint: "give --out a folder, which then holds train and val, or --data \(request.data)/val")
  }

  private func kinds(_ encoder: Encoder) throws(Failure) -> [FeatureKind] {
    var kinds: [FeatureKind] = []
    for word in request.kinds {
      let kind = try FeatureKind(parsing: word)
      _ = try encoder.itemShape(kind)
      if !kinds.contains(kind) { kinds.append(kind) }
    }
    return kinds.isEmpty ? [encoder.defaultKind] : kinds
  }

  private func store(
    _ output: Output, _ encoder: Encoder, _ kinds: [FeatureKind], _ origin: FeatureOrigin
  ) throws(Failure) {
    let source = output.source
    let preparation = ImagePreparation(
      size: encoder.configuration.imgSize, interpolation: request.interpolation, mean: encoder.mean, std: encoder.std)
    var extraction = Extraction(source, preparation)
    extraction.options.batch = request.batch
    extraction.options.allowsBadImages = request.allowsBadImages
    var arrays: [(name: String, shape: [Int])] = []
    for kind in kinds { arrays.append((kind.description, try encoder.itemShape(kind))) }
    if request.savesInputs { arrays.append((FeatureManifest.inputs, [3, preparation.size, preparation.size])) }
    let manifest = FeatureManifest(
      origin: extraction.origin(origin, kinds[0]), classNames: source.classNames, count: source.count)
    let start = monotonicSeconds()
    try FeatureFileWriter.write(
      output.path, output.format, manifest, labels: (0..<source.count).map { source.label($0) },
      indices: (0..<source.count).map(Int64.init), itemShapes: arrays, communicator: communicator
    ) { (writer) throws(Failure) in
      try extraction.run(kinds, communicator, encode: { encoder.features($0, kinds) }) { (portion) throws(Failure) in
        for (kind, values) in zip(kinds, portion.features) {
          try writer.put(kind.description, rows: portion.range, values)
        }
        if request.savesInputs { try writer.put(FeatureManifest.inputs, rows: portion.range, portion.images) }
      }
    }
    let rate = Double(source.count) / max(monotonicSeconds() - start, 1e-9)
    let names = arrays.map { "\($0.name) \($0.shape)" }.joined(separator: ", ")
    say("\(output.path): \(source.count) images, \(names), \(Int(rate.rounded())) images/s")
  }
}
