import Basics
import Glibc
import Images
import Settings

/// How the learning rate of a head follows the epochs: a linear rise, then half a cosine down to 0.
///
/// - Source: spec/evaluation.md 1.5.
struct LinearSchedule: Equatable {
  var epochs: Int
  var warmup: Double
  /// Whether the rate moves with every step; otherwise it stays for an epoch.
  var isPerStep: Bool

  /// The rate at a moment, as a share of the highest.
  ///
  /// - Parameter epoch: counted from 0, with a fraction.
  func factor(at epoch: Double) -> Double {
    let moment = isPerStep ? epoch : epoch.rounded(.down)
    if moment < warmup { return moment / warmup }
    return 0.5 * (1 + cos(.pi * (moment - warmup) / (Double(epochs) - warmup)))
  }
}

/// How the weights of a head follow their gradients.
enum LinearOptimizer: String, CaseIterable {
  case sgd, lars
}

/// Which features the heads learn from.
enum LinearMode: Equatable {
  /// Training views drawn anew for every epoch.
  case augmented
  /// Training views of some passes, made once and used in turn.
  case cached(passes: Int)
  /// The evaluation view, made once.
  case cachedEvaluation

  init?(parsing text: String) {
    switch text {
    case "augmented": self = .augmented
    case "cached:eval": self = .cachedEvaluation
    default:
      guard text.hasPrefix("cached:"), let passes = Int(text.dropFirst(7)), passes > 0 else { return nil }
      self = .cached(passes: passes)
    }
  }

  /// The word that `init(parsing:)` reads.
  var word: String {
    switch self {
    case .augmented: "augmented"
    case .cached(let passes): "cached:\(passes)"
    case .cachedEvaluation: "cached:eval"
    }
  }
}

/// The parameters of a linear probe.
struct LinearSettings: Equatable {
  var baseRates: [Double]
  var batch: Int
  var schedule: LinearSchedule
  /// The epsilon of the BatchNorm before the head; nil for none.
  var normEpsilon: Double?
  var optimizer = LinearOptimizer.sgd
  var momentum = 0.9
  var weightDecay = 0.0
  var mode = LinearMode.augmented
  /// How training views are resized.
  var trainInterpolation = Interpolation.bicubic
  var selectsOnHoldout = false

  /// The highest rate of a head: its base rate for 256 images, scaled with the batch.
  func rate(ofBase base: Double) -> Double { base * Double(batch) / 256 }
}

extension LinearSettings {
  /// The recipes of the papers by name.
  ///
  /// - Source: spec/evaluation.md E3; MOCA's rates are those of its script, which sweeps n 10^m; UDI's batch is that of
  ///   its eight devices with 256 images each; 1.2: training views of DINO's descendants are bilinear.
  static let recipes: [(name: String, settings: LinearSettings)] = [
    (
      "mae-ct",
      LinearSettings(
        baseRates: [0.1, 0.09, 0.08, 0.07, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01], batch: 1024,
        schedule: LinearSchedule(epochs: 50, warmup: 5, isPerStep: true), normEpsilon: 1e-5)
    ),
    (
      "moca",
      LinearSettings(
        baseRates: (-4...0).flatMap { power in (1...9).compactMap { Double("\($0)e\(power)") } }, batch: 1024,
        schedule: LinearSchedule(epochs: 100, warmup: 0, isPerStep: false), trainInterpolation: .bilinear)
    ),
    (
      "udi",
      LinearSettings(
        baseRates: [0.02], batch: 2048, schedule: LinearSchedule(epochs: 300, warmup: 0, isPerStep: false),
        trainInterpolation: .bilinear)
    ),
    (
      "mae",
      LinearSettings(
        baseRates: [0.1], batch: 16384, schedule: LinearSchedule(epochs: 90, warmup: 10, isPerStep: true),
        normEpsilon: 1e-6, optimizer: .lars)
    ),
  ]

  /// The settings of a recipe, or of the small suite.
  static func recipe(_ name: String, isTiny: Bool) -> LinearSettings {
    guard var settings = recipes.first(where: { $0.name == name })?.settings else {
      preconditionFailure("LinearSettings: no recipe '\(name)'")
    }
    guard isTiny else { return settings }
    settings.baseRates = [0.3, 0.1, 0.03, 0.01]
    settings.batch = 256
    settings.schedule.epochs = 20
    settings.mode = .cached(passes: 1)
    return settings
  }

  /// Reads the parameters, whose defaults are those of a recipe.
  ///
  /// - Throws: bad config for a parameter that is wrong.
  init(_ section: Section, recipe: String, isTiny: Bool) throws(Failure) {
    self = LinearSettings.recipe(recipe, isTiny: isTiny)
    baseRates = try section.doubles(
      "base_lr", default: baseRates, in: 0...1000, "learning rates for 256 images; each trains a head of its own")
    batch = try section.int("batch", default: batch, in: 2..., unit: "images", "images of a step over all ranks")
    schedule.epochs = try section.int("epochs", default: schedule.epochs, in: 1..., "passes over the train split")
    schedule.warmup = try section.double(
      "warmup_epochs", default: min(schedule.warmup, Double(schedule.epochs) / 2), in: 0...,
      "epochs in which the learning rate rises")
    schedule.isPerStep =
      try section.choice(
        "schedule", default: schedule.isPerStep ? "step" : "epoch", ["step", "epoch"], "how often the rate moves")
      == "step"
    normEpsilon = try section.optionalDouble(
      "bn_eps", default: normEpsilon, in: 1e-12...1, absent: "none",
      "epsilon of the BatchNorm without weights before the head; none leaves it out")
    let words = LinearOptimizer.allCases.map(\.rawValue)
    optimizer =
      LinearOptimizer(
        rawValue: try section.choice("optimizer", default: optimizer.rawValue, words, "how weights follow gradients"))
      ?? optimizer
    momentum = try section.double("momentum", default: momentum, in: 0..<1, "momentum of the optimiser")
    weightDecay = try section.double("weight_decay", default: weightDecay, in: 0..., "weight decay of the optimiser")
    let word = try section.string(
      "mode", default: mode.word,
      "features to learn from: augmented (new training views every epoch), cached:M (M passes of training views, "
        + "stored) or cached:eval (the evaluation view, stored)")
    guard let mode = LinearMode(parsing: word) else {
      throw section.failure("mode", "there is no mode '\(word)'", hint: "one of augmented, cached:1, cached:eval")
    }
    self.mode = mode
    trainInterpolation = try section.word(
      "train_interpolation", default: trainInterpolation, "how training views are resized")
    selectsOnHoldout =
      try section.choice(
        "select", default: "val", ["val", "holdout"],
        "what the learning rate is chosen on: the val split, as the papers do, or 10 train images a class kept apart")
      == "holdout"
    try check(section)
  }

  private func check(_ section: Section) throws(Failure) {
    guard Set(baseRates).count == baseRates.count else {
      throw section.failure("base_lr", "two heads have the same learning rate", hint: "write every rate once")
    }
    guard schedule.warmup < Double(schedule.epochs) else {
      throw section.failure(
        "warmup_epochs", "the rate rises for \(schedule.warmup) epochs of \(schedule.epochs)",
        hint: "make warmup_epochs smaller than epochs")
    }
  }
}
