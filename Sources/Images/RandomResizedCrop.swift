import Basics
import Glibc

/// The crop rule of every method: a random part of the picture, of random area and aspect.
///
/// - Source: spec/mae-ct.md 2.4; torchvision's RandomResizedCrop.
public struct RandomResizedCrop: Sendable {
  /// The crop's share of the picture's area.
  public let scale: ClosedRange<Double>
  /// Width over height of the crop; drawn uniformly in the logarithm.
  public let ratio: ClosedRange<Double>

  /// Makes a rule.
  public init(scale: ClosedRange<Double>, ratio: ClosedRange<Double>) {
    precondition(
      scale.lowerBound > 0 && ratio.lowerBound > 0, "RandomResizedCrop: needs positive scale \(scale), ratio \(ratio)")
    self.scale = scale
    self.ratio = ratio
  }

  /// Draws a box: up to ten tries (area, log ratio; then top, left), otherwise the centre with the nearest allowed
  /// aspect.
  public func box(width: Int, height: Int, random: inout RandomStream) -> CropBox {
    let area = Double(width * height)
    let logarithms = log(ratio.lowerBound)..<log(ratio.upperBound)
    for _ in 0..<10 {
      let target = area * random.uniform(scale.lowerBound..<scale.upperBound)
      let aspect = exp(random.uniform(logarithms))
      let w = Int((target * aspect).squareRoot().rounded(.toNearestOrEven))
      let h = Int((target / aspect).squareRoot().rounded(.toNearestOrEven))
      guard w > 0, w <= width, h > 0, h <= height else { continue }
      let top = random.integer(below: height - h + 1)
      let left = random.integer(below: width - w + 1)
      return CropBox(left: left, top: top, width: w, height: h)
    }
    return centre(width: width, height: height)
  }

  /// The largest centred box whose aspect is allowed: the whole picture when its aspect is.
  func centre(width: Int, height: Int) -> CropBox {
    let aspect = Double(width) / Double(height)
    var w = width
    var h = height
    if aspect < ratio.lowerBound {
      h = min(height, max(1, Int((Double(width) / ratio.lowerBound).rounded(.toNearestOrEven))))
    } else if aspect > ratio.upperBound {
      w = min(width, max(1, Int((Double(height) * ratio.upperBound).rounded(.toNearestOrEven))))
    }
    return CropBox(left: (width - w) / 2, top: (height - h) / 2, width: w, height: h)
  }
}
