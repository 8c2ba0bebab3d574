import Basics

// Shapes: n images, L patches, k kept.

/// Which patches of each image the encoder sees: the first `keep` of a random order.
///
/// - Source: He et al., 2022, reference code `random_masking`; spec mae-ct 2.1.
public struct Mask: Sendable {
  /// Images.
  public let images: Int
  /// Patches per image (L).
  public let tokens: Int
  /// Visible patches per image (k).
  public let keep: Int
  /// [n, L] the order of each image's patches; the first k are visible, in this order.
  public let shuffle: [Int32]
  /// [n, L] where each patch stands in `shuffle`.
  public let restore: [Int32]
  /// [n, k] the visible patches in kept order.
  public let visible: [Int32]
  /// [n, L] 1 for a removed patch, 0 for a visible one.
  public let removed: [Float]

  /// A mask from given orders, one permutation of 0 ..< tokens per image.
  public init(shuffle: [Int32], tokens: Int, keep: Int) {
    precondition(
      tokens > 0 && shuffle.count % tokens == 0, "Mask: \(shuffle.count) indices for \(tokens) tokens per image")
    precondition((0...tokens).contains(keep), "Mask: keeps \(keep) of \(tokens) tokens")
    images = shuffle.count / tokens
    self.tokens = tokens
    self.keep = keep
    self.shuffle = shuffle
    var restore = [Int32](repeating: -1, count: shuffle.count)
    var visible: [Int32] = []
    visible.reserveCapacity(images * keep)
    for image in 0..<images {
      let first = image * tokens
      for place in 0..<tokens {
        let token = Int(shuffle[first + place])
        precondition(
          (0..<tokens).contains(token) && restore[first + token] < 0,
          "Mask: image \(image) has no permutation of 0 ..< \(tokens)")
        restore[first + token] = Int32(place)
      }
      visible += shuffle[first..<(first + keep)]
    }
    self.restore = restore
    self.visible = visible
    removed = restore.map { $0 >= Int32(keep) ? 1 : 0 }
  }

  /// Removed patches per image (L - k).
  public var removedCount: Int { tokens - keep }

  /// [n, L - k] the removed patches in the order of the shuffle.
  public var removedIndices: [Int32] {
    (0..<images).flatMap { image in shuffle[image * tokens + keep..<(image + 1) * tokens] }
  }

  /// How many of `tokens` patches stay visible when `ratio` of them is removed.
  public static func kept(of tokens: Int, ratio: Double) -> Int { Int(Double(tokens) * (1 - ratio)) }

  /// Independent random masks, one per image and view: the ascending order of L uniform numbers.
  ///
  /// - Parameters:
  ///   - images: the dataset index of each image; with seed, epoch and view it keys the draw.
  public static func random(
    tokens: Int, ratio: Double, images: [Int], view: Int, epoch: Int, seed: UInt64
  ) -> Mask {
    var shuffle: [Int32] = []
    shuffle.reserveCapacity(images.count * tokens)
    for image in images {
      var stream = RandomStream(seed: seed, purpose: .mask, epoch: epoch, index: image, view: view)
      let noise = (0..<tokens).map { _ in stream.uniform() }
      shuffle += (0..<Int32(tokens)).sorted { (noise[Int($0)], $0) < (noise[Int($1)], $1) }
    }
    return Mask(shuffle: shuffle, tokens: tokens, keep: kept(of: tokens, ratio: ratio))
  }

  /// The masks of several views as one, view-major.
  public static func joined(_ masks: [Mask]) -> Mask {
    precondition(!masks.isEmpty, "Mask.joined: no masks")
    precondition(
      masks.allSatisfy { $0.tokens == masks[0].tokens && $0.keep == masks[0].keep }, "Mask.joined: sizes differ")
    return Mask(shuffle: masks.flatMap(\.shuffle), tokens: masks[0].tokens, keep: masks[0].keep)
  }
}
