import Basics
import Features
import Layers
import Messaging
import Pipeline
import Tensors

/// Times feature extraction beside the bare encoder, for `sslmpi bench features`.
public enum ExtractionBenchmark {
  /// What is measured.
  public struct Options: Sendable {
    /// The encoder; its weights are random.
    public var model: ViTConfiguration
    /// The images; generated photographs of 500 x 375 pixels when nil.
    public var data: String?
    /// How many of them, over all ranks.
    public var images: Int
    /// Images that pass the encoder together.
    public var batch: Int
    /// Threads of a rank that decode ahead.
    public var workers: Int
    /// Measured rounds, after one that is not.
    public var rounds: Int

    /// Describes a measurement.
    public init(model: ViTConfiguration, data: String?, images: Int, batch: Int, workers: Int, rounds: Int) {
      self.model = model
      self.data = data
      self.images = images
      self.batch = batch
      self.workers = workers
      self.rounds = rounds
    }
  }

  /// What was measured.
  public struct Result: Sendable {
    /// Images of a round, over all ranks.
    public let images: Int
    /// Of every round: the slowest rank's time for all images that lie ready in memory.
    /// - Units: seconds.
    public let forwardSeconds: [Double]
    /// Of the same rounds: from files to features.
    /// - Units: seconds.
    public let extractionSeconds: [Double]
    /// The most that the tensors of a rank took at one time, weights included; on the rank that took most.
    public let peakBytes: Int

    /// The rate of extraction over that of the bare encoder in every round, rising.
    public var fractions: [Double] { zip(forwardSeconds, extractionSeconds).map { $0 / $1 }.sorted() }
  }

  /// Lets the encoder run alone and on images that are read meanwhile, in turns.
  ///
  /// - Parameter directory: where generated photographs are put; every rank needs one of its own.
  /// - Throws: what `DataSource.open` throws, cannot create or I/O error.
  /// - Collective: all ranks, with the same options.
  public static func run(
    _ options: Options, directory: String, _ communicator: Communicator
  ) throws(Failure) -> Result {
    let source = try communicator.agreed { () throws(Failure) -> DataSource in
      if options.data == nil { try JPEGBenchmark.write(images: options.images, to: directory) }
      return try DataSource.open(options.data ?? directory, labels: nil)
    }
    let builder = ModelBuilder(seed: 0)
    builder.freezes = { _ in true }
    let encoder = ViT(options.model, builder)
    let arena = builder.build()
    let count = min(options.images, source.count)
    var extraction = Extraction(source, ImagePreparation(size: options.model.imgSize), indices: Array(0..<count))
    extraction.options.batch = options.batch
    extraction.options.workers = options.workers
    let kind = FeatureKind(.patchMean)
    let own = extraction.range(communicator)
    let ready = Tensor(repeating: 0.5, [options.batch, 3, options.model.imgSize, options.model.imgSize])
    func encode(_ images: Tensor) -> [Tensor] { [encoder.features(images, pool: .meanPatch)] }
    func slowest(_ body: () throws(Failure) -> Void) throws(Failure) -> Double {
      try communicator.barrier()
      let start = monotonicSeconds()
      try body()
      return try communicator.allReduceMax([monotonicSeconds() - start])[0]
    }
    var (forward, extracted) = ([Double](), [Double]())
    for _ in 0...options.rounds {
      forward.append(
        try slowest { () throws(Failure) in
          ProductEngine.withNative {
            for first in stride(from: 0, to: own.count, by: options.batch) {
              _ = encode(ready.rows(0..<min(options.batch, own.count - first)))
            }
          }
        })
      extracted.append(
        try slowest { () throws(Failure) in
          _ = try extraction.features([kind], itemShapes: [[options.model.width]], communicator) { encode($0) }
        })
    }
    let bytes = StoragePool.peakBytes + 4 * arena.count
    return Result(
      images: count, forwardSeconds: Array(forward.dropFirst()), extractionSeconds: Array(extracted.dropFirst()),
      peakBytes: Int(try communicator.allReduceMax([Int64(bytes)])[0]))
  }
}
