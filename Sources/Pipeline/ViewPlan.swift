/// How one view of an image is made for training.
public struct ViewSpec: Equatable, Sendable {
  /// The side of the square view, in pixels.
  public let size: Int
  /// The crop's share of the image's area.
  public let cropScale: ClosedRange<Double>
  /// Width over height of the crop.
  public let cropRatio: ClosedRange<Double>
  /// The probability of mirroring left to right.
  public let flip: Double
  /// What may happen to the colours; nil leaves them as they are.
  public let colour: ColourRecipe?
  /// Subtracted from values in 0 ... 1, one for each of red, green, blue.
  public let mean: [Float]
  /// Divides the values after that, one for each of red, green, blue.
  public let std: [Float]

  /// Makes a view specification.
  public init(
    size: Int, cropScale: ClosedRange<Double>, cropRatio: ClosedRange<Double> = (3.0 / 4)...(4.0 / 3),
    flip: Double = 0.5, colour: ColourRecipe? = nil, mean: [Float] = imageNetMean, std: [Float] = imageNetStd
  ) {
    precondition(
      size > 0 && mean.count == 3 && std.count == 3, "ViewSpec: size \(size), mean \(mean), std \(std)")
    self.size = size
    self.cropScale = cropScale
    self.cropRatio = cropRatio
    self.flip = flip
    self.colour = colour
    self.mean = mean
    self.std = std
  }
}

/// The mean of ImageNet's channels, in 0 ... 1.
public let imageNetMean: [Float] = [0.485, 0.456, 0.406]
/// The standard deviation of ImageNet's channels, in 0 ... 1.
public let imageNetStd: [Float] = [0.229, 0.224, 0.225]

/// The views of an image that a method asks for, in the order of `Batch.views`.
public struct ViewPlan: Equatable, Sendable {
  /// One specification a view.
  public let views: [ViewSpec]

  /// Makes a plan.
  public init(views: [ViewSpec]) {
    precondition(!views.isEmpty, "ViewPlan: a plan has at least one view")
    self.views = views
  }
}
