import Basics
import Foundation
import Layers
import Messaging
import Tensors

/// `runtime.gemm`: which engine multiplies what, settled before the first step and the same on all ranks.
struct ProductChoice {
  let plan: ProductPlan
  /// The contents of `gemm.json`, which a resumed run reads again; nil unless the setting is `auto`.
  let record: String?

  /// Settles on `isa`, `auto` or the name of an engine, and uses it from now on.
  ///
  /// - Parameters:
  ///   - earlier: the `gemm.json` of the run that goes on; read by rank 0, if it exists.
  /// - Throws: `Failure` of code 69 when an engine's library is not installed, 65 when `earlier` is damaged.
  /// - Collective: all ranks. With `auto` all measure, so that each meets a busy node, and rank 0 decides.
  static func settle(
    _ setting: String, _ arena: ParameterArena, earlier: String?, _ communicator: Communicator
  ) throws -> ProductChoice {
    var record: String?
    if setting == "auto" {
      let measured = try communicator.together { try earlier.flatMap(read) ?? measure(arena) }
      record = try communicator.broadcast(measured)
    }
    let choice = try communicator.together {
      let plan =
        try record.map(plan(from:)) ?? ProductPlan(ProductEngine(rawValue: setting) ?? .standard(for: .chosen))
      try ProductEngine.use(plan)
      return ProductChoice(plan: plan, record: record)
    }
    return choice
  }

  /// One line for the head of a run: `native`, or how often each engine was chosen.
  var summary: String {
    guard !plan.chosen.isEmpty else { return plan.standard.rawValue }
    return LinearProduct.allCases.map { product in
      let engines = plan.chosen.filter { $0.key.product == product }.map(\.value)
      let counts = ProductEngine.allCases.compactMap { engine -> String? in
        let count = engines.count { $0 == engine }
        return count > 0 ? "\(engine.rawValue) \(count)" : nil
      }
      return "\(product.rawValue) \(counts.joined(separator: " + "))"
    }.joined(separator: ", ")
  }

  private static func read(_ path: String) throws -> String? {
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let text = try String(contentsOfFile: path, encoding: .utf8).trimmingCharacters(in: .newlines)
    do {
      _ = try plan(from: text)
    } catch {
      throw Failure(
        .badData, "the choice of product engines is damaged: \(error)", at: path,
        hint: "remove the file to measure again; results may then differ by rounding")
    }
    return text
  }

  private static func measure(_ arena: ParameterArena) -> String {
    var seen: Set<[Int]> = []
    let weights = arena.parameters.filter { $0.name.hasSuffix("weight") && $0.shape.rank > 1 }
      .map { [$0.shape[0], $0.shape.count / $0.shape[0]] }.filter { seen.insert($0).inserted }
    let rows = 1024  // attention and the loss send about this many; longer products behave alike
    let results = ProductTuning.measure(weights: weights.map { ($0[0], $0[1]) }, rows: rows)
    let products = results.map { result in
      JSON.object([
        ("product", .string(result.key.product.rawValue)), ("n", .int(result.key.n)), ("k", .int(result.key.k)),
        ("engine", .string(result.best.rawValue)),
        ("gflops", .object(result.rates.map { ($0.engine.rawValue, .double(($0.gigaflops * 10).rounded() / 10)) })),
      ])
    }
    return JSON.object([
      ("rows", .int(rows)), ("standard", .string(ProductEngine.standard(for: .chosen).rawValue)),
      ("products", .array(products)),
    ]).line
  }

  private static func plan(from text: String) throws -> ProductPlan {
    let json = try JSON.parse(text)
    let bad = Failure(.badData, "a name in the choice of product engines is unknown")
    guard let standard = json["standard"]?.stringValue.flatMap(ProductEngine.init) else { throw bad }
    var chosen: [ProductPlan.Key: ProductEngine] = [:]
    for entry in json["products"]?.arrayValue ?? [] {
      guard let product = entry["product"]?.stringValue.flatMap(LinearProduct.init), let n = entry["n"]?.intValue,
        let k = entry["k"]?.intValue, let engine = entry["engine"]?.stringValue.flatMap(ProductEngine.init)
      else { throw bad }
      chosen[.init(product, n: n, k: k)] = engine
    }
    return ProductPlan(standard, chosen: chosen)
  }
}
