import Basics
import Images

/// How strong a random change of brightness, contrast, saturation and hue may be.
///
/// The first three are factors in max(0, 1 - v) ... 1 + v, the hue turns by -v ... v of the circle; 0 leaves one out.
/// - Source: spec/mae-ct.md 2.4; torchvision's ColorJitter.
public struct ColourJitter: Equatable, Sendable {
  /// The strength of each, 0 or more; of the hue at most 0.5.
  public let brightness, contrast, saturation, hue: Double

  /// Makes a jitter.
  public init(brightness: Double, contrast: Double, saturation: Double, hue: Double) {
    precondition(
      min(brightness, contrast, saturation, hue) >= 0 && hue <= 0.5,
      "ColourJitter: \(brightness), \(contrast), \(saturation), \(hue)")
    self.brightness = brightness
    self.contrast = contrast
    self.saturation = saturation
    self.hue = hue
  }

  /// The four operations in random order; those of strength 0 are left out.
  func draw(_ random: inout RandomStream) -> [ColourOperation] {
    let order = random.permutation(4)
    let operations: [ColourOperation?] = [
      factor(brightness, &random).map { .brightness($0) }, factor(contrast, &random).map { .contrast($0) },
      factor(saturation, &random).map { .saturation($0) }, turn(&random).map { .hue($0) },
    ]
    return order.compactMap { operations[Int($0)] }
  }

  private func factor(_ strength: Double, _ random: inout RandomStream) -> Double? {
    let value = random.uniform(max(0, 1 - strength)..<(1 + strength))
    return strength > 0 ? value : nil
  }

  private func turn(_ random: inout RandomStream) -> Double? {
    let value = random.uniform(-hue..<hue)
    return hue > 0 ? value : nil
  }
}

/// What may happen to the colours of a view: operations in a fixed order, each with its probability.
///
/// The stream is read in the order of the steps: for each step one number that decides whether it happens, then its
/// own numbers, whether it happens or not (jitter: the order of the four, then brightness, contrast, saturation, hue;
/// blur: sigma). So no step's draws depend on another's settings.
/// - Source: spec/mae-ct.md 4.5; BYOL and DINO make views grey before they blur them.
public struct ColourRecipe: Equatable, Sendable {
  /// One operation, or the four of a jitter.
  public enum Change: Equatable, Sendable {
    /// Brightness, contrast, saturation and hue in random order.
    case jitter(ColourJitter)
    /// A Gaussian whose deviation in pixels is uniform in the range.
    case blur(sigma: ClosedRange<Double>)
    /// All channels become the luma.
    case grey
    /// Channels from the threshold upwards are inverted.
    case solarise(threshold: Int)
  }

  /// A change and how likely it is.
  public struct Step: Equatable, Sendable {
    /// What happens.
    public let change: Change
    /// How often, 0 ... 1.
    public let probability: Double

    /// Makes a step.
    public init(_ change: Change, probability: Double) {
      precondition((0...1).contains(probability), "ColourRecipe.Step: probability \(probability)")
      self.change = change
      self.probability = probability
    }
  }

  /// The steps in their order.
  public let steps: [Step]

  /// Makes a recipe.
  public init(_ steps: [Step]) { self.steps = steps }

  /// Decides everything about one view.
  public func draw(_ random: inout RandomStream) -> [ColourOperation] {
    var operations: [ColourOperation] = []
    for step in steps {
      let happens = random.uniform() < step.probability
      let drawn: [ColourOperation]
      switch step.change {
      case .jitter(let jitter): drawn = jitter.draw(&random)
      case .blur(let sigma): drawn = [.blur(sigma: random.uniform(sigma.lowerBound..<sigma.upperBound))]
      case .grey: drawn = [.grey]
      case .solarise(let threshold): drawn = [.solarise(threshold: threshold)]
      }
      if happens { operations += drawn }
    }
    return operations
  }
}
