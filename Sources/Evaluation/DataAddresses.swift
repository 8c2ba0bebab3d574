import Basics
import Settings
import Weights

/// Where the images of a call are: those that are named, those of the small suite, or those of the run.
struct DataAddresses {
  /// The address of both parts.
  var root: String?
  /// The address of what is learned from, in place of `root`.
  var train: String?
  /// The address of what is measured on, in place of `root`.
  var val: String?

  /// - Parameter encoder: whose run's images are taken when none are named.
  /// - Throws: input missing when none are named and the run has none to measure on.
  init(_ request: EvaluationRequest, _ encoder: Encoder?) throws(Failure) {
    if request.data != nil || request.train != nil || request.val != nil {
      (root, train, val) = (request.data, request.train, request.val)
      return
    }
    guard let encoder else { return }
    let data = try RunSettings(stored: encoder.header.config, named: encoder.path).data
    if request.isTiny {
      root = DataAddresses.shapes(like: data.train, side: encoder.configuration.imgSize)
      return
    }
    if data.val == nil, DataAddresses.hasParts(data.train) {
      root = data.train
      return
    }
    guard let val = data.val else {
      throw Failure(
        .inputMissing, "the run was trained without data.val, so there is nothing to measure on", at: encoder.path,
        hint: "give --data ROOT with ROOT/train and ROOT/val, or --train and --val")
    }
    (train, self.val) = (data.train, val)
  }

  /// Of generated shapes without a split, those with several objects; otherwise the same.
  var scenes: DataAddresses {
    guard let root, train == nil, val == nil, DataAddresses.hasParts(root) else { return self }
    let mark = root.contains("?") ? "&" : "?"
    var scenes = self
    (scenes.train, scenes.val) = ("\(root)\(mark)split=scenes-train", "\(root)\(mark)split=scenes-val")
    return scenes
  }

  private static let base = "synth:tinyshapes"

  /// Whether an address is of generated shapes without a split, which have every split.
  private static func hasParts(_ address: String) -> Bool { address.hasPrefix(base) && !address.contains("split=") }

  /// Generated shapes as those of the run, but as many as the small suite takes.
  private static func shapes(like address: String, side: Int) -> String {
    guard address.hasPrefix(base) else { return "\(base)?size=\(side)" }
    let kept = address.dropFirst(base.count + 1).split(separator: "&")
      .filter { !$0.hasPrefix("n=") && !$0.hasPrefix("split=") }
    return kept.isEmpty ? base : "\(base)?\(kept.joined(separator: "&"))"
  }
}
