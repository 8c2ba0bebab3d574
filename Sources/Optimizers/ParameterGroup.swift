import Autodiff
import Layers

/// Parameters that are updated by one rule.
public struct ParameterGroup {
  /// A name for messages, for example `decay`.
  public let name: String
  /// The members.
  public let parameters: [Parameter]
  /// Whether weight decay applies.
  public let decays: Bool
  /// Multiplies the run's learning rate; layer-wise decay, a slower patch embedding.
  public let rateScale: Double
  /// A learning rate of its own instead of the run's, constant over time.
  public let ownRate: Double?
  /// A weight decay of its own instead of the run's, constant over time.
  public let ownDecay: Double?
  /// The first epoch in which the group is updated. Before it nothing happens to weights, moments and counts.
  public let firstEpoch: Int

  /// A group; by default it follows the run's learning rate and weight decay from the start.
  public init(
    _ name: String, _ parameters: [Parameter], decays: Bool, rateScale: Double = 1, ownRate: Double? = nil,
    ownDecay: Double? = nil, firstEpoch: Int = 0
  ) {
    self.name = name
    self.parameters = parameters
    self.decays = decays
    self.rateScale = rateScale
    self.ownRate = ownRate
    self.ownDecay = ownDecay
    self.firstEpoch = firstEpoch
  }

  /// Whether weight decay applies to a parameter: not to biases and not to anything with one dimension.
  ///
  /// Class and mask tokens have three dimensions and are decayed, as in the reference repositories.
  public static func decays(_ parameter: Parameter) -> Bool {
    parameter.shape.rank > 1 && !parameter.name.hasSuffix(".bias")
  }

  /// The trainable parameters of an arena in two groups, `decay` and `no_decay`.
  public static func split(_ arena: ParameterArena) -> [ParameterGroup] {
    let trainable = arena.parameters.filter { !$0.isFrozen }
    return [
      ParameterGroup("decay", trainable.filter(decays), decays: true),
      ParameterGroup("no_decay", trainable.filter { !decays($0) }, decays: false),
    ]
  }

  /// Those of `parameters` that are trained, in two groups `NAME.decay` and `NAME.no_decay`.
  ///
  /// - Parameters:
  ///   - rateScale: multiplies the run's learning rate: a head whose base rate is not that of the encoder.
  ///   - ownDecay: the weight decay of those that decay, instead of the run's.
  public static func split(
    _ name: String, _ parameters: [Parameter], rateScale: Double = 1, ownDecay: Double? = nil
  ) -> [ParameterGroup] {
    let trained = parameters.filter { !$0.isFrozen }
    return [
      ParameterGroup(
        "\(name).decay", trained.filter(decays), decays: true, rateScale: rateScale, ownDecay: ownDecay),
      ParameterGroup("\(name).no_decay", trained.filter { !decays($0) }, decays: false, rateScale: rateScale),
    ]
  }
}
