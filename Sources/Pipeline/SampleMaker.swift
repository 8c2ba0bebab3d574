import Basics
import Images

/// Makes the views of one image after another; each decode thread has its own.
final class SampleMaker {
  /// What became of one sampled image.
  struct Made: Sendable {
    let used: Int
    let bad: [BadImage]
  }

  /// Where row `row` of a batch's views is.
  struct Target: @unchecked Sendable {
    let views: [UnsafeMutablePointer<Float>]
  }

  private static let attempts = 1000
  private let source: DataSource
  private let plan: ViewPlan
  private let seed: UInt64
  private let views: ViewMaker

  init(source: DataSource, plan: ViewPlan, seed: UInt64, scaledDecode: Bool) {
    self.source = source
    self.plan = plan
    self.seed = seed
    views = ViewMaker(scaledDecode: scaledDecode)
  }

  /// Writes the views of image `sampled`, or of the image that stands in for it when it is bad.
  ///
  /// Stand-ins are drawn from a stream keyed by the bad image's index, so every rank and run draws the same; their
  /// views are keyed by their own index.
  func make(_ sampled: Int, _ epoch: Int, _ target: Target) throws(Failure) -> Made {
    var bad: [BadImage] = []
    var tried: Set<Int> = []
    var stream = RandomStream(seed: seed, purpose: .replacement, index: sampled)
    var candidate = sampled
    for _ in 0..<Self.attempts where tried.count < source.count {
      if tried.insert(candidate).inserted {
        do {
          try fill(candidate, epoch: epoch, into: target)
          return Made(used: candidate, bad: bad)
        } catch {
          bad.append(BadImage(index: candidate, name: source.name(candidate), reason: error.what))
        }
      }
      candidate = stream.integer(below: source.count)
    }
    throw Failure(
      .badData, "no readable image: \(tried.count) of \(source.count) were tried, all are bad", at: source.address,
      hint: bad.first.map { "the first is \($0.name): \($0.reason)" })
  }

  private func fill(_ index: Int, epoch: Int, into target: Target) throws(Failure) {
    let bytes = try source.bytes(index)
    let targets = zip(plan.views, target.views).map { ViewTarget(planes: $1, mean: $0.mean, deviation: $0.std) }
    try views.make(bytes, into: targets) { width, height in
      plan.views.enumerated().map { v, spec in
        var crop = RandomStream(seed: seed, purpose: .crop, epoch: epoch, index: index, view: v)
        var flip = RandomStream(seed: seed, purpose: .flip, epoch: epoch, index: index, view: v)
        var colour = RandomStream(seed: seed, purpose: .colour, epoch: epoch, index: index, view: v)
        let rule = RandomResizedCrop(scale: spec.cropScale, ratio: spec.cropRatio)
        let box = rule.box(width: width, height: height, random: &crop)
        return ViewRequest(
          box: box, size: spec.size, isFlipped: flip.uniform() < spec.flip,
          colour: spec.colour?.draw(&colour) ?? [])
      }
    }
  }
}
