import Basics
import Images
import Settings

/// The parameters of low-shot logistic regression.
struct LowShotSettings: Equatable {
  var subsets: [Subset] = [.perClass(1), .perClass(2), .perClass(5), .percent(1), .percent(10)]
  /// Draws of every number of images a class.
  var draws = 3
  var preparation = RowPreparation.centred
  /// How the images are resized.
  var interpolation = Interpolation.bicubic
  var lambdas = [2.5e-4, 2.5e-3, 1e-2, 1e-1, 1]
  /// The weight decay whose numbers are shown first; nil for the best on val.
  var headline: Double?
  var solver = LBFGS()

  /// The recipes of the papers by name.
  ///
  /// - Source: spec/evaluation.md E4: preparation and lambda of each script; 1.2: MSN and MOCA resize bilinearly.
  static let recipes: [(name: String, settings: LowShotSettings)] = [
    ("mae-ct", LowShotSettings(headline: 2.5e-4)),
    ("msn", LowShotSettings(interpolation: .bilinear, headline: 2.5e-4)),
    ("moca", LowShotSettings(interpolation: .bilinear, headline: 1e-1)),
    ("udi", LowShotSettings(preparation: .unit, lambdas: [1e-2, 1e-1, 1], headline: nil)),
  ]

  /// The settings of a recipe, or of the small suite.
  static func recipe(_ name: String, isTiny: Bool) -> LowShotSettings {
    guard var settings = recipes.first(where: { $0.name == name })?.settings else {
      preconditionFailure("LowShotSettings: no recipe '\(name)'")
    }
    if isTiny { settings.subsets = [.perClass(1), .perClass(2), .perClass(5)] }
    return settings
  }
}

extension LowShotSettings {
  /// Reads the parameters, whose defaults are those of a recipe.
  ///
  /// - Throws: bad config for a parameter that is wrong.
  init(_ section: Section, recipe: String, isTiny: Bool) throws(Failure) {
    self = LowShotSettings.recipe(recipe, isTiny: isTiny)
    let text = try section.string(
      "subsets", default: isTiny ? "1,2,5" : "1,2,5,1%,10%",
      "what is learned from: images a class, percentages, files of image names; with commas between them")
    subsets = try text.split(separator: ",").map { part throws(Failure) in
      let word = part.filter { $0 != " " }
      guard let subset = Subset(parsing: word) else {
        throw section.failure(
          "subsets", "'\(word)' is no subset", hint: "write for example 1,2,5,1%,10% or lists/1imgs_class.txt")
      }
      return subset
    }
    guard !subsets.isEmpty else { throw section.failure("subsets", "there is no subset to learn from") }
    draws = try section.int("draws", default: draws, in: 1...100, "draws of every number of images a class")
    let words = RowPreparation.allCases.map(\.rawValue)
    preparation =
      RowPreparation(
        rawValue: try section.choice(
          "preprocess", default: preparation.rawValue, words, "what is done to a row of features"))
      ?? preparation
    interpolation = try section.word(
      "interpolation", default: interpolation, "how images are resized")
    lambdas = try section.doubles(
      "lambda", default: lambdas, in: 1e-12...1e12, "weights of the penalty lambda / 2n |W|²; each is solved for")
    headline = try section.optionalDouble(
      "headline_lambda", default: headline.flatMap { lambdas.contains($0) ? $0 : nil }, in: 1e-12...1e12,
      absent: "best", "the lambda whose numbers are shown first; best chooses on val")
    solver.tolerance = try section.double(
      "tolerance", default: solver.tolerance, in: 1e-12...1, "largest element of the gradient at the solution")
    solver.limit = try section.int("max_iterations", default: solver.limit, in: 1..., "iterations of L-BFGS at most")
    guard Set(lambdas).count == lambdas.count else {
      throw section.failure("lambda", "a lambda stands there twice", hint: "write every lambda once")
    }
    if let headline, !lambdas.contains(headline) {
      throw section.failure(
        "headline_lambda", "there are no numbers for headline_lambda=\(headline)",
        hint: "lambda has \(lambdas.map { "\($0)" }.joined(separator: ", "))")
    }
  }
}
