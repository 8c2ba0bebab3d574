import Basics

/// A part of a dataset.
public enum Split: String, CaseIterable, Sendable {
  case train, val
}

/// The parts of a dataset, with one list of classes.
///
/// A root stands for both: `ROOT/train` and `ROOT/val` of a folder, `split=train` and `split=val` of generated images.
/// Anything else is one part, `val`.
public struct DataSplits: Sendable {
  /// What was opened, as written.
  public let address: String
  private let sources: [Split: DataSource]

  /// Parts that are open already.
  ///
  /// - Throws: bad data when a class of one part has no images in the other: its labels would mean something else.
  public init(_ sources: [Split: DataSource], address: String = "") throws(Failure) {
    self.sources = sources
    self.address = address
    let named = Split.allCases.compactMap { split in sources[split].map { (split: split, names: $0.classNames) } }
      .filter { !$0.names.isEmpty }
    for one in named {
      for other in named {
        guard let name = one.names.first(where: { !other.names.contains($0) }) else { continue }
        throw Failure(
          .badData, "the class '\(name)' has images in \(one.split.rawValue) and none in \(other.split.rawValue)",
          at: address, hint: "both parts need the same class folders")
      }
    }
  }

  /// Opens the parts of a root, or those that are named one by one.
  ///
  /// - Parameters:
  ///   - root: where `train` and `val` are that are not named.
  ///   - labels: as in `DataSource.open`.
  /// - Throws: what `DataSource.open` throws; input missing when nothing is named.
  public static func open(
    _ root: String?, train: String? = nil, val: String? = nil, labels: Bool? = nil
  ) throws(Failure) -> DataSplits {
    var addresses = try root.map { (root) throws(Failure) in try parts(of: root) } ?? [:]
    if let train { addresses[.train] = train }
    if let val { addresses[.val] = val }
    guard !addresses.isEmpty else {
      throw Failure(
        .inputMissing, "no data address is given", hint: "pass --data ROOT with ROOT/train and ROOT/val, or --val DIR")
    }
    var sources: [Split: DataSource] = [:]
    for (split, address) in addresses { sources[split] = try DataSource.open(address, labels: labels) }
    return try DataSplits(sources, address: root ?? [train, val].compactMap { $0 }.joined(separator: ", "))
  }

  /// The images of a part.
  ///
  /// - Throws: input missing when the dataset has no such part.
  public func source(_ split: Split) throws(Failure) -> DataSource {
    if let source = sources[split] { return source }
    throw Failure(
      .inputMissing, "the data have no part '\(split.rawValue)'", at: address,
      hint: "pass --data ROOT with a folder ROOT/\(split.rawValue), or --\(split.rawValue) DIR")
  }

  /// The parts that are there.
  public var splits: [Split] { Split.allCases.filter { sources[$0] != nil } }

  /// The addresses of the parts of a root; one part, `val`, when it is not divided.
  private static func parts(of root: String) throws(Failure) -> [Split: String] {
    let parsed = try DataAddress(root)
    switch parsed.scheme {
    case .list: return [.val: root]
    case .folder:
      let path = parsed.path.hasSuffix("/") ? String(parsed.path.dropLast()) : parsed.path
      let found = Split.allCases.filter { fileKind("\(path)/\($0.rawValue)") == .directory }
      if found.isEmpty { return [.val: root] }
      return Dictionary(uniqueKeysWithValues: found.map { ($0, "folder:\(path)/\($0.rawValue)") })
    case .synth:
      guard let given = parsed.parameters["split"] else {
        let mark = root.contains("?") ? "&" : "?"
        return Dictionary(uniqueKeysWithValues: Split.allCases.map { ($0, "\(root)\(mark)split=\($0.rawValue)") })
      }
      return [given.hasSuffix(Split.train.rawValue) ? .train : .val: root]
    }
  }
}
