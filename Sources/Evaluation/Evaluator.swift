import Basics
import Features
import Images
import Settings

/// An evaluation protocol: what it asks of the features of a frozen encoder. One of the four seams.
///
/// It reads features, labels and masks from its context, the same on any number of ranks, and writes no file.
public protocol Evaluator {
  /// The name on the command line and the first word of its metrics.
  static var name: String { get }
  /// The question that it answers, in one line.
  static var question: String { get }

  /// Reads the parameters: `sslmpi eval NAME ... key=value`.
  ///
  /// - Parameter isTiny: the settings of the small suite become the defaults.
  /// - Throws: bad config for a parameter that is wrong.
  init(_ section: Section, isTiny: Bool) throws(Failure)

  /// The kind of feature that is taken when none is asked for; nil for that of the encoder's method.
  var feature: FeatureChoice { get }

  /// How the images of the evaluation view are resized.
  var interpolation: Interpolation { get }

  /// Measures.
  ///
  /// - Throws: bad data when features, labels or masks are not what the protocol needs.
  /// - Collective: all ranks.
  func evaluate(_ context: EvaluationContext) throws -> EvaluationReport
}

extension Evaluator {
  /// As most papers do.
  public var interpolation: Interpolation { .bicubic }
}

/// What kind of feature a protocol works on when the user names none.
public enum FeatureChoice: Equatable, Sendable {
  /// One vector an image, as the encoder's method prefers it: spec/evaluation.md 1.1, defaults by seed.
  case image
  /// The patch tokens of the last block.
  case patches
  /// None: the protocol does not look at features.
  case none
}
