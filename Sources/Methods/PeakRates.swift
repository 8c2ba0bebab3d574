import Basics
import Optimizers
import Settings

extension RunSettings {
  /// The learning rate at its highest, from `optim.lr` or from `optim.base_lr` by the linear rule.
  public func peakRate(views: Int) -> Double { optim.lr ?? scaled(optim.baseLR, views: views) }

  /// The head's learning rate at its highest: by the same rule from `optim.head.base_lr`, else that of the rest.
  public func headPeakRate(views: Int) -> Double {
    optim.head.baseLR.map { scaled($0, views: views) } ?? peakRate(views: views)
  }

  /// The head's learning rate over that of the rest, which is the same at every step.
  ///
  /// - Throws: bad config when the rest has none, so that no multiple of it is the head's.
  func headRateScale(views: Int) throws(Failure) -> Double {
    let (head, rest) = (headPeakRate(views: views), peakRate(views: views))
    if head == rest { return 1 }
    guard rest > 0 else {
      throw Failure(
        .badConfig, "optim.head.base_lr gives the head a learning rate, but the rest has none", at: "optim.base_lr",
        hint: "to train the head alone write freeze: encoder, and its learning rate as optim.base_lr")
    }
    return optim.lr == nil ? (optim.head.baseLR ?? optim.baseLR) / optim.baseLR : head / rest
  }

  private func scaled(_ base: Double, views: Int) -> Double {
    guard optim.lrScaleRule == "linear256" else { return base }
    return linearScaledRate(base: base, globalBatch: train.batchSize, views: views)
  }
}
