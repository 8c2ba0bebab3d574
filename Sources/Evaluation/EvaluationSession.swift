import Basics
import Features
import Messaging
import Pipeline
import Settings
import Weights

/// One call of `sslmpi eval`: finds checkpoint and images, lets the protocols measure, collects what they say.
public struct EvaluationSession {
  private let request: EvaluationRequest
  private let communicator: Communicator
  private let say: (String) -> Void

  /// Measures what is asked for.
  ///
  /// - Parameter say: hears what the user should know meanwhile.
  /// - Throws: the failure of the lowest rank, on every rank.
  /// - Collective: all ranks.
  public static func run(
    _ request: EvaluationRequest, _ communicator: Communicator, say: @escaping (String) -> Void
  ) throws -> EvaluationOutcome {
    try EvaluationSession(request: request, communicator: communicator, say: say).run()
  }

  private func run() throws -> EvaluationOutcome {
    let evaluators = try chosen()
    let place = try request.target.map { try CheckpointTarget($0, communicator) }
    place?.notices.forEach(say)
    let shelf = try ContextShelf(request, place, communicator)
    var records: [EvaluationRecord] = []
    var omitted: [(name: String, reason: String)] = []
    for evaluator in evaluators {
      let name = type(of: evaluator).name
      do {
        for kind in try shelf.kinds(for: evaluator) {
          let context = try shelf.context(for: evaluator, kind)
          say("\(name)\(kind.map { " on \($0)" } ?? "")")
          records.append(try measured(evaluator, context, shelf))
        }
      } catch let failure as Failure where request.name == "all" && failure.code == .inputMissing {
        omitted.append((name, failure.what))
      }
    }
    return EvaluationOutcome(
      records: records, omitted: omitted, defaultPath: place?.run.map { "\($0)/eval/\(request.name).json" })
  }

  private func measured(
    _ evaluator: any Evaluator, _ context: EvaluationContext, _ shelf: ContextShelf
  ) throws -> EvaluationRecord {
    let start = monotonicSeconds()
    let report = try evaluator.evaluate(context)
    return EvaluationRecord(
      name: type(of: evaluator).name, report: report, origin: try shelf.origin(of: context), images: context.images,
      seed: request.seed, seconds: monotonicSeconds() - start, ranks: communicator.size,
      threads: ThreadTeam.shared.threads)
  }

  /// The protocols with their parameters, all checked before anything is computed.
  private func chosen() throws(Failure) -> [any Evaluator] {
    var evaluators: [any Evaluator] = []
    if request.name == "all" {
      let names = EvaluatorRegistry.all.map { $0.name }
      if let lost = request.overrides.first(where: { word in !names.contains { word.hasPrefix("\($0).") } }) {
        throw Failure(
          .usage, "'\(lost)' names no protocol", at: "sslmpi eval all",
          hint: "write protocol.key=value, for example knn.k=[1,20]; protocols: \(names.joined(separator: ", "))")
      }
      for type in EvaluatorRegistry.all { evaluators.append(try Self.evaluator(type, request).evaluator) }
    } else {
      evaluators.append(try Self.evaluator(try EvaluatorRegistry.type(named: request.name), request).evaluator)
    }
    return evaluators
  }

  private static func evaluator(
    _ type: any Evaluator.Type, _ request: EvaluationRequest
  ) throws(Failure) -> (evaluator: any Evaluator, tree: SettingsTree) {
    let tree = try SettingsTree.load(overrides: overrides(request, type.name), environment: [:])
    let evaluator = try type.init(tree.section(type.name), isTiny: request.isTiny)
    try tree.finish()
    return (evaluator, tree)
  }

  /// The parameters of a protocol, their values and what they mean; `request.name` is a protocol or one of its keys.
  ///
  /// - Throws: usage for an unknown protocol, bad config for a wrong parameter.
  public static func explain(_ request: EvaluationRequest) throws(Failure) -> String {
    let name = String(request.name.prefix { $0 != "." })
    let tree = try evaluator(try EvaluatorRegistry.type(named: name), request).tree
    return tree.keys.isEmpty ? "\(name) has no parameters" : try tree.explain(request.name)
  }

  /// `k=3` for one protocol, `knn.k=3` among several; those of other protocols are left out.
  private static func overrides(_ request: EvaluationRequest, _ name: String) -> [String] {
    guard request.name == "all" else {
      return request.overrides.map { $0.hasPrefix("\(name).") ? $0 : "\(name).\($0)" }
    }
    return request.overrides.filter { $0.hasPrefix("\(name).") }
  }
}
