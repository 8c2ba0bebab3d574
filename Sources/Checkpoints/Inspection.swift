import Basics
import Storage

/// What a file of this program holds, for `sslmpi inspect`.
public struct Inspection: Sendable {
  /// The `format` attribute; nil for an HDF5 file of another program.
  public let format: String?
  /// The attributes of the file itself, in the order of their names.
  public let attributes: [(name: String, value: AttributeValue)]
  /// All datasets.
  public let datasets: [DatasetInfo]
  /// Whether every byte was compared with the checksums; false for files that have none.
  public let isVerified: Bool
  /// What is wrong with the file; nil when nothing is, or nobody looked.
  public let damage: Failure?

  /// Reads what a file holds.
  /// - Parameter verify: compare a checkpoint with its checksums, every byte.
  /// - Throws: code 66 when there is no file, code 65 when it is no HDF5 file or its table of contents is damaged.
  /// - Collective: local.
  public static func describe(_ path: String, verify: Bool = false) throws(Failure) -> Inspection {
    // A checkpoint shows that its metadata is whole before the library reads it.
    let isSealed = try ByteFile.open(path).startsWith(CheckpointHeader.format)
    if isSealed { _ = try SealedFile.open(path) }
    let file = try H5File.open(path)
    let outcome = Result { () throws(Failure) in
      (attributes: try file.attributes(), datasets: try file.datasets())
    }
    try file.close()
    let (attributes, datasets) = try outcome.get()
    var format: String?
    if case .string(let text) = attributes.first(where: { $0.name == "format" })?.value { format = text }
    var damage: Failure?
    let isVerified = verify && (isSealed || format == CheckpointHeader.format)
    if isVerified {
      do throws(Failure) { try CheckpointReader.verify(path) } catch { damage = error }
    }
    return Inspection(
      format: format, attributes: attributes, datasets: datasets, isVerified: isVerified, damage: damage)
  }

  /// The number of elements in all datasets.
  public var elements: Int { datasets.reduce(0) { $0 + $1.count } }

  /// The bytes of all datasets.
  public var bytes: Int { datasets.reduce(0) { $0 + $1.bytes } }

  /// The description for people: header, tree, totals, result of the check.
  public var lines: [String] {
    var lines = ["format: \(format ?? "HDF5, not of this program")"]
    for (name, value) in attributes where name != "format" { lines.append("\(name): \(value.json.line)") }
    var folders: [Substring] = []
    for dataset in datasets {
      let parts = dataset.name.split(separator: "/")
      for (depth, part) in parts.enumerated() {
        let isLeaf = depth == parts.count - 1
        guard isLeaf || depth >= folders.count || folders[depth] != part else { continue }
        let indent = String(repeating: "  ", count: depth)
        lines.append(isLeaf ? "\(indent)\(part) \(dataset.kind?.rawValue ?? "?")\(dataset.shape)" : "\(indent)\(part)/")
        folders = Array(parts.prefix(depth + 1))
      }
    }
    lines.append("total: \(datasets.count) datasets, \(elements) elements, \(bytes) bytes")
    if isVerified { lines.append(damage.map { "verify: \($0.what)" } ?? "verify: every byte is as it was written") }
    return lines
  }

  /// The description for programs.
  public var json: JSON {
    let tensors = datasets.map { dataset -> JSON in
      .object([
        ("name", .string(dataset.name)), ("kind", dataset.kind.map { .string($0.rawValue) } ?? .null),
        ("shape", .array(dataset.shape.map { .int($0) })),
      ])
    }
    return .object([
      ("format", format.map { .string($0) } ?? .null),
      ("attributes", .object(attributes.map { ($0.name, $0.value.json) })), ("datasets", .array(tensors)),
      ("elements", .int(elements)), ("bytes", .int(bytes)), ("verified", .bool(isVerified && damage == nil)),
      ("damage", damage.map { .string($0.what) } ?? .null),
    ])
  }
}

extension ByteFile {
  /// Whether the file begins with a text.
  fileprivate func startsWith(_ text: String) throws(Failure) -> Bool {
    guard try length() >= text.utf8.count else { return false }
    return try bytes(text.utf8.count, at: 0).elementsEqual(text.utf8)
  }
}
