/// How the tensors of an imported file fit those of a model.
public struct ImportReport: Sendable {
  /// Our names for tensors that were taken over.
  public internal(set) var matched: [String] = []
  /// Tensors of the model that the file lacks: our name, and what the file should call it.
  public internal(set) var missing: [(own: String, theirs: String)] = []
  /// Names of the file that the model has no place for.
  public internal(set) var unexpected: [String] = []
  /// Tensors that both have and that do not fit, with the difference in words; they were not taken over.
  public internal(set) var reshaped: [(own: String, difference: String)] = []
  /// What was changed on the way, and what the file does not say.
  public internal(set) var notes: [String] = []

  /// Whether every tensor of the file and of the model found its place.
  public var isFull: Bool { missing.isEmpty && unexpected.isEmpty && reshaped.isEmpty }

  /// Our names for tensors of the model that were not taken over.
  var differences: [String] { missing.map(\.own) + reshaped.map(\.own) }

  /// A line of counts, then a line for every difference.
  public var table: [String] {
    let counts =
      "\(matched.count) matched, \(missing.count) missing, \(unexpected.count) unexpected, \(reshaped.count) reshaped"
    return [counts]
      + missing.map { "  missing     \($0.own)" + ($0.own == $0.theirs ? "" : " (in the file: \($0.theirs))") }
      + unexpected.map { "  unexpected  \($0)" } + reshaped.map { "  reshaped    \($0.own): \($0.difference)" }
  }
}
