import Basics
import Images

/// Which part of an image an encoder that does not change sees.
public enum ImageView: Hashable, Sendable {
  /// `evalT`: the shorter side resized to round(size * 256 / 224), then the centre square.
  case evaluation
  /// `trainT`: a random crop, mirrored or not, drawn anew for every pass over the images.
  case training(pass: Int)
}

/// How images become the numbers that an encoder takes.
///
/// - Source: spec/evaluation.md 1.2 (evalT, trainT).
public struct ImagePreparation: Hashable, Sendable, CustomStringConvertible {
  /// Which part of the image.
  public var view: ImageView
  /// The side of the square view, in pixels.
  public var size: Int
  /// How the part is resized.
  public var interpolation: Interpolation
  /// Subtracted from values in 0 ... 1, one for each of red, green, blue.
  public var mean: [Float]
  /// Divides the values after that, one for each of red, green, blue.
  public var std: [Float]
  /// The first key of the random crops.
  public var seed: UInt64

  private static let crop = RandomResizedCrop(scale: 0.08...1, ratio: (3.0 / 4)...(4.0 / 3))
  private static let flip = 0.5

  /// A preparation.
  public init(
    _ view: ImageView = .evaluation, size: Int, interpolation: Interpolation = .bicubic,
    mean: [Float] = imageNetMean, std: [Float] = imageNetStd, seed: UInt64 = 0
  ) {
    precondition(size > 0 && mean.count == 3 && std.count == 3, "ImagePreparation: \(size), mean \(mean), std \(std)")
    self.view = view
    self.size = size
    self.interpolation = interpolation
    self.mean = mean
    self.std = std
    self.seed = seed
  }

  /// The view of image `index`, which is `width` x `height`; random draws are keyed by (seed, pass, index).
  func request(width: Int, height: Int, index: Int) -> ViewRequest {
    switch view {
    case .evaluation: return .evaluation(width: width, height: height, size: size, interpolation: interpolation)
    case .training(let pass):
      var crop = RandomStream(seed: seed, purpose: .crop, epoch: pass, index: index)
      var flip = RandomStream(seed: seed, purpose: .flip, epoch: pass, index: index)
      let box = Self.crop.box(width: width, height: height, random: &crop)
      return ViewRequest(
        box: box, size: size, isFlipped: flip.uniform() < Self.flip, interpolation: interpolation)
    }
  }

  /// In words: `eval(224, bicubic)`, `train(224, bilinear, seed 0, pass 3)`.
  public var description: String {
    switch view {
    case .evaluation: "eval(\(size), \(interpolation.rawValue))"
    case .training(let pass): "train(\(size), \(interpolation.rawValue), seed \(seed), pass \(pass))"
    }
  }
}

extension ImagePreparation {
  /// The side of the images in the words of a `description`; nil for other words.
  public static func size(in words: String) -> Int? { parts(of: words).flatMap { Int($0[1]) } }

  /// How the images were resized in the words of a `description`; nil for other words.
  public static func interpolation(in words: String) -> Interpolation? {
    parts(of: words).flatMap { Interpolation(rawValue: $0[2]) }
  }

  private static func parts(of words: String) -> [String]? {
    let parts = words.split { "(), ".contains($0) }.map(String.init)
    return parts.count > 2 && ["eval", "train"].contains(parts[0]) ? parts : nil
  }
}
