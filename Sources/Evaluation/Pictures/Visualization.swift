import Basics
import Features
import Images
import Messaging
import Pipeline
import Settings
import Tensors
import Weights

/// `sslmpi visualize`: one kind of picture with its parameters.
public struct Visualization {
  /// Draws; collective.
  let draw: (Gallery) throws -> Drawing

  /// Reads the parameters of a kind.
  ///
  /// - Throws: bad config for a parameter that is wrong.
  init(_ kind: PictureKind, _ section: Section) throws(Failure) {
    let standard = kind.standardCount ?? 0
    switch kind {
    case .recon:
      let picture = try ReconstructionPicture(section)
      draw = { gallery in
        let encoder = gallery.encoder
        let autoencoder = try Autoencoder(encoder.path, communicator: gallery.communicator)
        try autoencoder.requireSide(encoder.configuration.imgSize)
        let images = try gallery.shown(try gallery.chosen(standard: standard))
        let view = ViewSpec(size: images.side, cropScale: 1...1, mean: encoder.mean, std: encoder.std)
        return picture.drawn(images, autoencoder, view: view, seed: gallery.seed)
      }
    case .attention:
      let picture = try AttentionPicture(section)
      draw = { gallery in
        let images = try gallery.shown(try gallery.chosen(standard: standard), withMasks: true)
        return picture.drawn(images, attention: gallery.encoder.vit.classAttention(images.tensor))
      }
    case .similarity:
      let picture = try SimilarityPicture(section)
      draw = { gallery in
        let images = try gallery.shown(try gallery.chosen(standard: standard), withMasks: true)
        return try picture.drawn(images, patches: gallery.patches(of: images))
      }
    case .patchkmeans:
      let picture = try PatchClusterPicture(section)
      draw = { gallery in
        let images = try gallery.shown(try gallery.chosen(standard: standard))
        return try picture.drawn(images, patches: gallery.patches(of: images), seed: gallery.seed)
      }
    case .pca:
      let picture = try PatchColourPicture(section)
      draw = { gallery in
        let images = try gallery.shown(try gallery.chosen(standard: standard))
        return try picture.drawn(
          images, patches: gallery.patches(of: images), communicator: gallery.communicator)
      }
    case .neighbours:
      let picture = try NeighbourSheet(section)
      draw = { gallery in
        let queries = try gallery.chosen(standard: standard)
        let set = try gallery.features()
        let lists = try picture.lists(of: queries, in: set, communicator: gallery.communicator)
        let found = try gallery.shown(lists.joined().map { Int(set.indices[$0.index]) })
        return picture.drawn(try gallery.shown(queries), lists, found)
      }
    case .map:
      draw = { gallery in
        try gallery.requireNoCount(kind)
        return try FeatureMapPicture.drawn(try gallery.features(), communicator: gallery.communicator)
      }
    case .clusters:
      let pictures = try ClusterPictures(section, hasSheet: true)
      draw = { gallery in try pictures.sheet(from: gallery, images: try gallery.count(standard: standard, of: kind)) }
    case .confusion:
      let pictures = try ClusterPictures(section, hasSheet: false)
      draw = { gallery in
        try gallery.requireNoCount(kind)
        return try pictures.confusion(from: gallery)
      }
    }
  }

  /// Draws what is asked for and writes it: pictures, and the numbers behind them as JSON.
  ///
  /// - Parameters:
  ///   - request: its name is the kind, its overrides are the parameters of the kind.
  ///   - images: how many images are drawn; nil for as many as suit the kind.
  ///   - directory: made when it is missing.
  ///   - say: hears what the user should know meanwhile.
  /// - Returns: lines for the terminal: the files, and what is worth knowing.
  /// - Throws: what is wrong with the request, its files or the directory, on all ranks.
  /// - Collective: all ranks.
  public static func run(
    _ kind: PictureKind, _ request: EvaluationRequest, images: Int?, to directory: String,
    _ communicator: Communicator, say: (String) -> Void
  ) throws -> [String] {
    let tree = try SettingsTree.load(overrides: request.overrides, environment: [:])
    let section = tree.section("")
    let visualization = try Visualization(kind, section)
    let options = try Gallery.Options(section, images: images)
    try tree.finish()
    let target = try CheckpointTarget(request.target ?? "", communicator)
    target.notices.forEach(say)
    let found = try Encoder(target.path, weights: request.weights, communicator: communicator)
    let splits = try communicator.agreed { () throws(Failure) in
      let named = try DataAddresses(request, found)
      return try DataSplits.open(named.root, train: named.train, val: named.val)
    }
    let encoder = try request.size.map { try found.resized(to: $0) } ?? found
    let feature = try request.kinds.first.map { try FeatureKind(parsing: $0) } ?? encoder.defaultKind
    let context = EvaluationContext(
      encoder: encoder, splits: splits, kind: feature, seed: request.seed, communicator: communicator)
    context.options.batch = request.batch
    context.maskRoot = request.masks
    let drawing = try visualization.draw(try Gallery(context, encoder, splits, options))
    let files = try communicator.agreed { () throws(Failure) in
      communicator.isCoordinator ? try drawing.write(kind.rawValue, to: directory) : []
    }
    return files + drawing.summary
  }
}
