import Basics
import Features
import Images
import Messaging
import Pipeline
import Settings
import Tensors
import Weights

/// What pictures are drawn from: an encoder, images, and masks where there are some.
final class Gallery {
  /// Which images are shown.
  struct Options {
    let split: Split
    let picked: [Int]?
    let count: Int?

    /// - Parameter images: how many are drawn; nil for as many as suit the kind of picture.
    /// - Throws: bad config for a parameter that is wrong.
    init(_ section: Section, images: Int?) throws(Failure) {
      split = try section.split("the part of the data that is shown")
      picked = try section.optionalInts("pick", in: 0..., "numbers of the images that are shown; null draws some")
      count = images
    }
  }

  let encoder: Encoder
  private let context: EvaluationContext
  private let options: Options
  private let source: DataSource

  /// - Throws: input missing when the data have no such part.
  init(_ context: EvaluationContext, _ encoder: Encoder, _ splits: DataSplits, _ options: Options) throws(Failure) {
    self.encoder = encoder
    self.context = context
    self.options = options
    source = try splits.source(options.split)
  }

  var communicator: Communicator { context.communicator }
  var seed: UInt64 { context.seed }

  /// The numbers of the images that are shown, ascending: those asked for, or some drawn by the seed.
  ///
  /// - Throws: bad config when the data have fewer.
  func chosen(standard: Int) throws(Failure) -> [Int] {
    if let picked = options.picked {
      guard let wrong = picked.first(where: { $0 >= source.count }) else { return Array(Set(picked)).sorted() }
      throw Failure(
        .badConfig, "there is no image \(wrong) among \(source.count)", at: "pick",
        hint: "images are counted from 0 to \(source.count - 1)")
    }
    let wanted = options.count ?? min(standard, source.count)
    guard wanted <= source.count else {
      throw Failure(
        .badConfig, "\(wanted) images of \(source.count)", at: source.address, hint: "--images \(source.count)")
    }
    var stream = RandomStream(seed: seed, purpose: .probe)
    return stream.permutation(source.count).prefix(wanted).map(Int.init).sorted()
  }

  /// Images as the encoder sees them.
  ///
  /// - Parameter withMasks: whether the classes of pixels come along, where they are known.
  /// - Throws: bad data naming an image or a mask that cannot be read.
  /// - Collective: all ranks.
  func shown(_ indices: [Int], withMasks: Bool = false) throws(Failure) -> ShownImages {
    let hasMasks = withMasks && (context.maskRoot != nil || source.shapes != nil)
    let masks = hasMasks ? try context.masks(options.split) : nil
    return try communicator.agreed { () throws(Failure) in
      let tensor = try evaluationBatch(
        source, indices: indices, size: encoder.configuration.imgSize, mean: encoder.mean, std: encoder.std)
      let known = try masks.map { masks throws(Failure) in
        try indices.map { index throws(Failure) in try masks.mask(index) }
      }
      return ShownImages(
        tensor, indices: indices, labels: indices.map { source.label($0) }, classNames: source.classNames, masks: known,
        mean: encoder.mean, std: encoder.std)
    }
  }

  /// The final patch tokens of images, the same bits on any number of ranks.
  ///
  /// - Shapes: [n, L, D]
  func patches(of images: ShownImages) -> Tensor {
    ProductEngine.withNative { encoder.features(images.tensor, [FeatureKind(.patches([]))])[0] }
  }

  /// The features of all images of the part.
  ///
  /// - Throws: as `EvaluationContext.features`.
  /// - Collective: all ranks.
  func features() throws(Failure) -> FeatureSet { try context.features(options.split) }

  /// How many images of a group are shown, where nobody can pick them.
  func count(standard: Int, of kind: PictureKind) throws(Failure) -> Int {
    guard options.picked == nil else {
      throw Failure(.badConfig, "\(kind.rawValue) finds its images itself: they cannot be picked", at: "pick")
    }
    return options.count ?? standard
  }

  /// Refuses a number of images for a picture that shows them all.
  func requireNoCount(_ kind: PictureKind) throws(Failure) {
    guard options.count == nil, options.picked == nil else {
      throw Failure(
        .usage, "\(kind.rawValue) is about all images of the split: it takes no number of images",
        at: options.count == nil ? "pick" : "--images")
    }
  }
}
