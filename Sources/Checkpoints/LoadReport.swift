import Storage

/// How the tensors of a model and those of a checkpoint fit together.
public struct LoadReport: Sendable {
  /// A tensor that both have with different shapes or element types.
  public struct Reshaped: Sendable, Equatable {
    /// Its name.
    public let name: String
    /// Shape and type in the file.
    public let inFile: String
    /// Shape and type in the model.
    public let inModel: String
  }

  /// The header of the checkpoint.
  public let header: CheckpointHeader
  /// Names that were loaded.
  public let matched: Set<String>
  /// Names of the model that the file lacks, in the order of the model.
  public let missing: [String]
  /// Names of the file that the model lacks, in the order of the file.
  public let unexpected: [String]
  /// Names that both have and that do not fit; they are not loaded.
  public let reshaped: [Reshaped]

  init(_ index: CheckpointIndex, _ tensors: [NamedTensor]) {
    let inFile = Dictionary(index.datasets.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    let names = Set(tensors.map(\.name))
    var matched: Set<String> = []
    var reshaped: [Reshaped] = []
    for tensor in tensors {
      guard let stored = inFile[tensor.name] else { continue }
      if stored.shape == tensor.shape && stored.kind == tensor.kind {
        matched.insert(tensor.name)
      } else {
        reshaped.append(
          Reshaped(
            name: tensor.name, inFile: "\(stored.kind?.rawValue ?? "?")\(stored.shape)",
            inModel: "\(tensor.kind.rawValue)\(tensor.shape)"))
      }
    }
    header = index.header
    self.matched = matched
    self.reshaped = reshaped
    missing = tensors.map(\.name).filter { inFile[$0] == nil }
    unexpected = index.datasets.map(\.name).filter { !names.contains($0) }
  }

  /// One line per difference, and a line of counts in front.
  public var table: [String] {
    let counts =
      "\(matched.count) matched, \(missing.count) missing, \(unexpected.count) unexpected, \(reshaped.count) reshaped"
    return [counts] + missing.map { "  missing     \($0)" } + unexpected.map { "  unexpected  \($0)" }
      + reshaped.map { "  reshaped    \($0.name): \($0.inFile) in the file, \($0.inModel) in the model" }
  }
}
