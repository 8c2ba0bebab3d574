import Basics
import Settings

/// The protocols this program knows. Adding one is one line in `all`.
public enum EvaluatorRegistry {
  /// Every protocol, in the order of `sslmpi eval list`.
  public static var all: [any Evaluator.Type] {
    [
      KNN.self,
      LinearProbe.self,
      LowShot.self,
      Cluster.self,
      PromptSegmentation.self,
      SimilarityDistribution.self,
      Embedding.self,
      Cost.self,
    ]
  }

  /// A protocol by its name.
  ///
  /// - Throws: usage, with the nearest name, when there is none.
  public static func type(named name: String) throws(Failure) -> any Evaluator.Type {
    if let type = all.first(where: { $0.name == name }) { return type }
    let names = all.map { $0.name }
    let suggestion = nearestName(to: name, among: names).map { "did you mean \($0)? " } ?? ""
    throw Failure(
      .usage, "there is no protocol named '\(name)'", at: "sslmpi eval",
      hint: "\(suggestion)known: \(names.joined(separator: ", "))")
  }
}
