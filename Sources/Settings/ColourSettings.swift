import Basics

/// What `augment:` says about colours; nothing of it happens unless a key turns it on.
public struct ColourSettings: Sendable {
  /// Strength of brightness, contrast, saturation and hue; nil is off.
  public let jitter: [Double]?
  /// Probability of the jitter.
  public let jitterProb: PerView
  /// Probability of a blur.
  public let blurProb: PerView
  /// Least and greatest deviation of the blur.
  public let blurSigma: (Double, Double)
  /// Probability of grey.
  public let grayProb: PerView
  /// Probability of inverting bright channels.
  public let solarizeProb: PerView
  /// The least value that is inverted.
  public let solarizeThreshold: Int

  init(_ section: Section) throws(Failure) {
    jitter = try section.optionalDoubles(
      "jitter", count: 4, in: 0.0...10,
      "random strength of brightness, contrast, saturation and hue, as ColorJitter's; hue at most 0.5; null is off")
    func probability(_ key: String, default fallback: Double, of what: String) throws(Failure) -> PerView {
      try section.perView(key, default: fallback, in: 0.0...1, unit: "probability", what)
    }
    jitterProb = try probability("jitter_prob", default: 0.8, of: "the jitter, when augment.jitter is set")
    blurProb = try probability("blur_prob", default: 0, of: "Gaussian blur, after the jitter")
    blurSigma = try section.limits(
      "blur_sigma", default: (0.1, 2), in: 0.0...100, unit: "pixels", "deviation of the blur: [smallest, largest]")
    grayProb = try probability("gray_prob", default: 0, of: "grey, after the blur")
    solarizeProb = try probability("solarize_prob", default: 0, of: "inverting bright channels, last")
    solarizeThreshold = try section.int(
      "solarize_threshold", default: 128, in: 0...256, "channels of 0 ... 255 from here upwards are inverted")
    if let jitter, jitter[3] > 0.5 {
      throw section.failure(
        "jitter", "the hue of 'augment.jitter' is \(Settings.plain(jitter[3])), allowed: 0 ... 0.5",
        hint: "0.5 turns the hue by up to half a circle to both sides, which is every hue")
    }
  }
}

/// A number for every view of an image: the same for all, or one each.
public struct PerView: Sendable {
  private let path: String
  private let place: String
  private let values: [Double]

  init(path: String, place: String, values: [Double]) {
    self.path = path
    self.place = place
    self.values = values
  }

  /// The numbers of `count` views.
  ///
  /// - Throws: bad config, with the place, when there is more than one number but not one a view.
  public func spread(over count: Int) throws(Failure) -> [Double] {
    if values.count == 1 { return Array(repeating: values[0], count: count) }
    guard values.count == count else {
      throw Failure(
        .badConfig, "'\(path)' has \(values.count) numbers for \(count) view\(count == 1 ? "" : "s")", at: place,
        hint: "give one number for all views, or one a view")
    }
    return values
  }
}
