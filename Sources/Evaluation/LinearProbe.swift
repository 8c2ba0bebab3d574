import Basics
import Features
import Settings

/// `linear`: how well linear heads on the frozen features tell the classes apart.
///
/// - Source: spec/evaluation.md E3.
public struct LinearProbe: Evaluator {
  /// The name on the command line.
  public static let name = "linear"
  /// What it answers.
  public static let question = "How well do linear heads on frozen features tell the classes apart?"
  /// One vector an image.
  public let feature = FeatureChoice.image
  private let recipe: String
  private let settings: LinearSettings
  private let isOfRecipe: Bool

  /// Reads the parameters.
  ///
  /// - Throws: bad config for a parameter that is wrong.
  public init(_ section: Section, isTiny: Bool) throws(Failure) {
    recipe = try section.choice(
      "recipe", default: "mae-ct", LinearSettings.recipes.map(\.name), "the paper whose parameters are the defaults")
    settings = try LinearSettings(section, recipe: recipe, isTiny: isTiny)
    isOfRecipe = settings == LinearSettings.recipe(recipe, isTiny: false)
  }

  /// Trains the heads and measures them.
  ///
  /// - Throws: bad data, non-finite or bad config when splits and parameters do not go together.
  /// - Collective: all ranks.
  public func evaluate(_ context: EvaluationContext) throws -> EvaluationReport {
    let training = try LinearTraining(settings, context)
    let outcomes = try training.run()
    var report = report(of: training.splits)
    for (base, outcome) in zip(settings.baseRates, outcomes) {
      add(outcome, "linear.lr\(base)", of: training.splits.val.count, kept: training.keptApart.count, to: &report)
    }
    let chosen = choice(outcomes)
    let val = outcomes[chosen].val
    report.add("linear.selected_lr", settings.baseRates[chosen])
    report.add("linear.top1_last", val[val.count - 1].top1, of: training.splits.val.count)
    report.add("linear.top5_last", val[val.count - 1].top5, of: training.splits.val.count)
    report.headline = ["linear.top1_last", "linear.top5_last", "linear.selected_lr"]
    report.selectedOn = settings.selectsOnHoldout ? "holdout" : "val"
    if !settings.selectsOnHoldout {
      // The papers' best: the largest of all heads and epochs.
      let best = outcomes.flatMap(\.val).map(\.top1).max() ?? 0
      report.add("linear.top1_best", best, of: training.splits.val.count)
      report.headline.insert("linear.top1_best", at: 1)
    }
    return report
  }

  /// The head with the most right at the last epoch; of equal ones the first.
  private func choice(_ outcomes: [LinearTraining.Outcome]) -> Int {
    func right(_ outcome: LinearTraining.Outcome) -> Int {
      (settings.selectsOnHoldout ? outcome.holdout : outcome.val).last?.top1 ?? 0
    }
    let most = outcomes.filter(\.isFinite).map(right).max() ?? 0
    return outcomes.firstIndex { $0.isFinite && right($0) == most } ?? 0
  }

  private func add(
    _ outcome: LinearTraining.Outcome, _ name: String, of images: Int, kept: Int, to report: inout EvaluationReport
  ) {
    guard outcome.isFinite else {
      report.notes.append("\(name): the weights are no numbers any more, the learning rate is too high")
      return
    }
    for (suffix, hits) in [("last", outcome.val.last), ("best", outcome.val.max { $0.top1 < $1.top1 })] {
      guard let hits else { continue }
      report.add("\(name).top1_\(suffix)", hits.top1, of: images)
      report.add("\(name).top5_\(suffix)", hits.top5, of: images)
    }
    if kept > 0, let hits = outcome.holdout.last { report.add("\(name).holdout_top1_last", hits.top1, of: kept) }
    report.add("\(name).train_loss", outcome.loss)
  }

  private func report(of splits: LabelledSplits) -> EvaluationReport {
    var report = EvaluationReport()
    report.set("recipe", .string(recipe))
    report.set("base_lr", .array(settings.baseRates.map { .double($0) }))
    report.set("lr", .array(settings.baseRates.map { .double(settings.rate(ofBase: $0)) }))
    report.set("batch", .int(settings.batch))
    report.set("epochs", .int(settings.schedule.epochs))
    report.set("warmup_epochs", .double(settings.schedule.warmup))
    report.set("schedule", .string(settings.schedule.isPerStep ? "step" : "epoch"))
    report.set("bn_eps", settings.normEpsilon.map { .double($0) } ?? .null)
    report.set("optimizer", .string(settings.optimizer.rawValue))
    report.set("momentum", .double(settings.momentum))
    report.set("weight_decay", .double(settings.weightDecay))
    report.set("mode", .string(settings.mode.word))
    report.set("train_interpolation", .string(settings.trainInterpolation.rawValue))
    report.set("select", .string(settings.selectsOnHoldout ? "holdout" : "val"))
    report.provenance =
      settings.mode != .augmented ? .cached : isOfRecipe ? .reproduction : .decision
    return report
  }
}
