import Layers

/// What an optimiser is told about one update.
public struct UpdateContext: Equatable, Sendable {
  /// The learning rate of this update.
  public var rate: Double
  /// The weight decay of this update.
  public var weightDecay: Double
  /// Multiplies the gradients before use: clipping.
  public var gradientScale: GradientScale
  /// The epoch, for groups that start later.
  public var epoch: Int

  /// An update with gradients as they are, in the first epoch.
  public init(rate: Double, weightDecay: Double, gradientScale: GradientScale = .all(1), epoch: Int = 0) {
    self.rate = rate
    self.weightDecay = weightDecay
    self.gradientScale = gradientScale
    self.epoch = epoch
  }
}

/// A rule that turns gradients into new weights. One of the four seams.
public protocol Optimizer: AnyObject {
  /// What the update needs from one step to the next; names start with `optimizer/`.
  var state: [NamedState] { get }
  /// Updates the weights of every group in place. Local: equal gradients give equal weights on every rank.
  func update(_ context: UpdateContext)
}
