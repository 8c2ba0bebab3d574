import Basics
import Features
import Images
import Messaging
import Pipeline
import Settings
import Tensors

/// `lowshot`: how well logistic regression does with few labels.
///
/// - Source: spec/evaluation.md E4.
public struct LowShot: Evaluator {
  /// The name on the command line.
  public static let name = "lowshot"
  /// What it answers.
  public static let question = "How well does logistic regression on frozen features do with few labels?"
  /// One vector an image.
  public let feature = FeatureChoice.image
  /// That of the recipe.
  public var interpolation: Interpolation { settings.interpolation }
  private let recipe: String
  private let settings: LowShotSettings
  private let isOfRecipe: Bool

  /// Reads the parameters.
  ///
  /// - Throws: bad config for a parameter that is wrong.
  public init(_ section: Section, isTiny: Bool) throws(Failure) {
    recipe = try section.choice(
      "recipe", default: "mae-ct", LowShotSettings.recipes.map(\.name), "the paper whose parameters are the defaults")
    settings = try LowShotSettings(section, recipe: recipe, isTiny: isTiny)
    isOfRecipe = settings == LowShotSettings.recipe(recipe, isTiny: false)
  }

  /// Fits every draw of every subset with every lambda and measures it.
  ///
  /// - Throws: bad data or non-finite when the splits cannot be learned from.
  /// - Collective: all ranks.
  public func evaluate(_ context: EvaluationContext) throws -> EvaluationReport {
    let splits = try LabelledSplits(context)
    let subsets = try context.communicator.agreed { () throws(Failure) in
      try SubsetDraws.all(
        settings.subsets, from: splits, perClassDraws: settings.draws, seed: context.seed,
        names: { () throws(Failure) in try context.imageNames(of: splits.train, .train) })
    }
    var report = report(of: splits)
    for subset in subsets {
      let fits = try LowShotFit.all(subset, of: splits, settings, context.communicator)
      add(fits, of: subset, splits.val.count, to: &report)
    }
    return report
  }

  /// The numbers of one subset: those of every lambda, then those of the lambda that is shown first.
  private func add(_ fits: [LowShotFit], of subset: SubsetDraws, _ images: Int, to report: inout EvaluationReport) {
    let name = "lowshot.\(subset.name)"
    for fit in fits {
      let own = "\(name).lam\(fit.lambda)"
      add(fit, "\(own).top1", images, to: &report)
      report.add("\(own).iterations", count: fit.solutions.map(\.iterations).max() ?? 0)
      report.add("\(own).gradient", fit.solutions.map(\.gradient).max() ?? 0)
      for (draw, solution) in fit.solutions.enumerated() where !solution.hasConverged {
        report.notes.append(
          "\(own), draw \(draw): the gradient is \(solution.gradient) after \(solution.iterations) iterations")
      }
    }
    let most = fits.map(\.right).max() ?? 0
    guard let shown = fits.first(where: { settings.headline.map($0.lambda.isEqual) ?? ($0.right == most) }) else {
      preconditionFailure("LowShot: no lambda to show")
    }
    add(shown, "\(name).top1", images, to: &report)
    report.add("\(name).lambda", shown.lambda)
    report.add("\(name).train_images", count: subset.draws[0].count)
    report.headline += ["\(name).top1_mean", "\(name).top1_std"]
  }

  private func add(_ fit: LowShotFit, _ name: String, _ images: Int, to report: inout EvaluationReport) {
    report.add(name, fit.right, of: images * fit.hits.count)
    report.add(name, perSeed: fit.hits.map { 100 * Double($0) / Double(images) })
  }

  private func report(of splits: LabelledSplits) -> EvaluationReport {
    var report = EvaluationReport()
    report.set("recipe", .string(recipe))
    report.set("draws", .int(settings.draws))
    report.set("preprocess", .string(settings.preparation.rawValue))
    report.set("interpolation", .string(settings.interpolation.rawValue))
    report.set("lambda", .array(settings.lambdas.map { .double($0) }))
    report.set("headline_lambda", settings.headline.map { .double($0) } ?? .string("best"))
    report.set("tolerance", .double(settings.solver.tolerance))
    report.set("max_iterations", .int(settings.solver.limit))
    let stored = ImagePreparation.interpolation(in: splits.train.origin.transform)
    let isAsStored = stored == nil || stored == settings.interpolation
    report.provenance = isOfRecipe && isAsStored ? .reproduction : .decision
    if let stored, !isAsStored {
      report.notes.append(
        "the features are of images resized in the way '\(stored.rawValue)', not '\(settings.interpolation.rawValue)': "
          + "sslmpi embed --interpolation \(settings.interpolation.rawValue)")
    }
    if settings.headline == nil {
      report.selectedOn = "val"
      report.notes.append("best_lambda: the numbers without a lambda in their name are those of the best one on val")
    }
    if ["msn", "moca"].contains(recipe), !splits.train.origin.feature.hasSuffix(":prenorm") {
      report.notes.append("\(recipe) takes features before the final norm: --feature cls:prenorm")
    }
    return report
  }
}

/// Logistic regressions for one lambda, one for each draw of a subset.
struct LowShotFit {
  let lambda: Double
  /// How each search ended.
  var solutions: [LBFGS.Outcome] = []
  /// Images of the val split that each got right.
  var hits: [Int] = []

  /// Right answers of all draws.
  var right: Int { hits.reduce(0, +) }

  /// Fits every lambda to every draw.
  ///
  /// - Collective: all ranks.
  static func all(
    _ subset: SubsetDraws, of splits: LabelledSplits, _ settings: LowShotSettings, _ communicator: Communicator
  ) throws(Failure) -> [LowShotFit] {
    let val = settings.preparation.preparedTensor(splits.val.rows)
    var fits = settings.lambdas.map { LowShotFit(lambda: $0) }
    for draw in subset.draws {
      let rows = try LowShotRows(draw, of: splits.train, settings.preparation, communicator)
      for place in fits.indices {
        let (weights, solution) = try solution(
          rows, classes: splits.classes, lambda: fits[place].lambda, settings.solver, communicator)
        fits[place].solutions.append(solution)
        let own = ranks(weights, val, labels: splits.val.ownLabels)
        let right = try communicator.allReduceSum([Int64(own.count { $0 == 0 })])
        fits[place].hits.append(Int(right[0]))
      }
    }
    return fits
  }

  /// The weights of the minimum.
  ///
  /// - Shapes: weights [C D]
  /// - Collective: all ranks.
  static func solution(
    _ rows: LowShotRows, classes: Int, lambda: Double, _ solver: LBFGS, _ communicator: Communicator
  ) throws(Failure) -> (weights: [Double], outcome: LBFGS.Outcome) {
    let objective = LowShotObjective(rows, classes: classes, lambda: lambda, communicator)
    var weights = [Double](repeating: 0, count: classes * rows.width)
    let outcome = try solver.minimise(&weights) { (x, gradient) throws(Failure) in
      try objective.evaluate(x, gradient: &gradient)
    }
    return (weights, outcome)
  }

  /// Rows that are scored at a time.
  private static let tile = 1024

  /// The places of the right classes among the scores of prepared rows.
  ///
  /// - Shapes: weights [C D], rows [R, D], labels [R] -> R places in 0 ..< C
  static func ranks(_ weights: [Double], _ rows: Tensor, labels: ArraySlice<Int32>) -> [Int32] {
    let width = rows.shape.lastAxis
    let classes = weights.count / width
    let (matrix, none) = (Tensor(weights.map { Float($0) }, [classes, width]), Tensor(zeros: [classes]))
    return stride(from: 0, to: labels.count, by: tile).flatMap { start in
      let range = start..<min(start + tile, labels.count)
      let logits = Tensor(uninitialized: [range.count, classes])
      // The native engine gives a row the same bits wherever it stands.
      Matmul.forward(rows.rows(range), matrix, bias: none, into: logits, engine: .native)
      return labelRanks(logits, labels.dropFirst(start).prefix(range.count))
    }
  }
}
