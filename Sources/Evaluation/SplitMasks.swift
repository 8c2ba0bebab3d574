import Basics
import Features
import Images
import Pipeline

/// The masks of the images of one part of a dataset, cut as the encoder's images are.
public struct SplitMasks: Sendable {
  private enum Origin: Sendable {
    case source(MaskSource)
    case given([LabelMask])
  }

  /// The side of the masks and of the encoder's images.
  public let size: Int
  private let origin: Origin

  init(_ source: MaskSource, size: Int) {
    (self.size, origin) = (size, .source(source))
  }

  /// Masks that are square, of one size and already cut: that of image i is `masks[i]`.
  public init(_ masks: [LabelMask]) {
    let size = masks.first?.width ?? 0
    precondition(masks.allSatisfy { $0.width == size && $0.height == size }, "SplitMasks: masks of several sizes")
    (self.size, origin) = (size, .given(masks))
  }

  /// The mask of an image by its number in its source. Any thread may call it.
  ///
  /// - Shapes: [size, size].
  /// - Throws: `Failure` of code 66 when the mask is missing, 65 when it is damaged or of another size than the image.
  public func mask(_ index: Int) throws(Failure) -> LabelMask {
    switch origin {
    case .source(let source):
      guard index < source.count else { throw Self.missing(index, source.count) }
      return try evaluationMask(source, index: index, size: size)
    case .given(let masks):
      guard index < masks.count else { throw Self.missing(index, masks.count) }
      return masks[index]
    }
  }

  private static func missing(_ index: Int, _ count: Int) -> Failure {
    Failure(
      .badData, "there are features of image \(index), but only \(count) images with masks",
      hint: "features and masks must belong to the same data")
  }
}

extension EvaluationContext {
  /// The masks of a split: those given in `masks`, else the files below `maskRoot`, else the exact ones of generated
  /// images.
  ///
  /// `maskRoot` holds the masks of the part, or folders `train` and `val` with those of both.
  /// - Throws: input missing when there are none.
  /// - Collective: all ranks.
  public func masks(_ split: Split) throws(Failure) -> SplitMasks {
    if let given = masks[split] { return given }
    guard let splits else {
      throw Failure(
        .inputMissing, "there are no masks of the split '\(split.rawValue)'", at: "--features",
        hint: "give the images too, --data, and for images of files --masks")
    }
    let source = try splits.source(split)
    let size = try imageSize(split)
    return try communicator.agreed { () throws(Failure) in
      guard let maskRoot else { return SplitMasks(try MaskSource(of: source), size: size) }
      return SplitMasks(try MaskSource(root: maskRoot, split, of: source), size: size)
    }
  }

  /// The side of the images that the features were made from.
  private func imageSize(_ split: Split) throws(Failure) -> Int {
    if let encoder { return encoder.configuration.imgSize }
    let transform = try features(split).origin.transform
    if let size = ImagePreparation.size(in: transform) { return size }
    throw Failure(
      .badData, "the features do not say how large their images were: '\(transform)'", at: "--features",
      hint: "masks must be cut like the images; make the features with sslmpi embed")
  }
}
