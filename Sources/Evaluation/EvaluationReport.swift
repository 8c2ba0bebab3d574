import Basics

/// What a protocol measured, in a fixed order.
public struct EvaluationReport: Equatable, Sendable {
  /// How a number relates to those of the papers.
  public enum Provenance: String, Sendable {
    /// Done as the paper does it.
    case reproduction
    /// Heads trained on features that were stored once.
    case cached
    /// Something is of our own choice.
    case decision
  }

  /// The numbers by their dotted names: `knn.k20.top1`.
  public private(set) var metrics: [(name: String, value: JSON)] = []
  /// The parameters of the protocol, as they were.
  public private(set) var parameters: [(name: String, value: JSON)] = []
  /// The names of the numbers that the terminal shows first.
  public var headline: [String] = []
  /// How the numbers relate to those of the papers.
  public var provenance = Provenance.reproduction
  /// What hyper-parameters were chosen on: `val`, `holdout`; nil when nothing was chosen.
  public var selectedOn: String?
  /// What a reader must know.
  public var notes: [String] = []
  /// Further files beside the report: pictures, tables; name and content.
  public var files: [(name: String, bytes: [UInt8])] = []

  /// An empty report.
  public init() {}

  /// Adds a real number. A number that is not finite is a defect of its maker.
  public mutating func add(_ name: String, _ value: Double) {
    precondition(value.isFinite, "EvaluationReport: \(name) is \(value)")
    metrics.append((name, .double(value)))
  }

  /// Adds a whole number.
  public mutating func add(_ name: String, count: Int) { metrics.append((name, .int(count))) }

  /// Adds a share in percent as `name`, and the two counts as `name_count` and `name_of`.
  public mutating func add(_ name: String, _ count: Int, of total: Int) {
    precondition(total > 0, "EvaluationReport: \(name) is a share of nothing")
    add(name, 100 * Double(count) / Double(total))
    add("\(name)_count", count: count)
    add("\(name)_of", count: total)
  }

  /// Adds one number a seed, and their mean and deviation (population) as `name_mean` and `name_std`.
  public mutating func add(_ name: String, perSeed values: [Double]) {
    precondition(!values.isEmpty && values.allSatisfy(\.isFinite), "EvaluationReport: \(name) is \(values)")
    let mean = values.reduce(0, +) / Double(values.count)
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
    metrics.append(("\(name)_seeds", .array(values.map { .double($0) })))
    add("\(name)_mean", mean)
    add("\(name)_std", variance.squareRoot())
  }

  /// Notes a parameter.
  public mutating func set(_ parameter: String, _ value: JSON) { parameters.append((parameter, value)) }

  /// The value of a number.
  public subscript(name: String) -> Double? { metrics.first { $0.name == name }?.value.doubleValue }

  /// Whether two reports say the same.
  public static func == (a: EvaluationReport, b: EvaluationReport) -> Bool { a.json == b.json }

  /// Metrics, parameters and what else a reader must know.
  public var json: JSON {
    .object([
      ("parameters", .object(parameters)), ("metrics", .object(metrics)),
      ("headline", .array(headline.map { .string($0) })), ("provenance", .string(provenance.rawValue)),
      ("selected_on", selectedOn.map { .string($0) } ?? .null), ("notes", .array(notes.map { .string($0) })),
    ])
  }
}
