import Basics
import Messaging
import Storage

/// The table of contents of a checkpoint: header, datasets, chunks.
struct CheckpointIndex: Sendable {
  let header: CheckpointHeader
  /// The tensors in the order of the chunk table.
  let datasets: [DatasetInfo]
  let rows: [ChunkRow]

  /// Where the list of tensor names is kept: an attribute of this group.
  static let group = "integrity"
  static let table = "integrity/chunks"

  /// Reads the table of contents after checking that it is whole.
  /// - Throws: code 65 or 66.
  static func read(_ path: String) throws(Failure) -> CheckpointIndex {
    let sealed = try SealedFile.open(path)
    let file = try H5File.open(path)
    let index = Result { () throws(Failure) in try CheckpointIndex(file, rows: sealed.rows) }
    try file.close()
    return try index.get()
  }

  private init(_ file: H5File, rows: [ChunkRow]) throws(Failure) {
    header = try CheckpointHeader(try file.attributes(), path: file.path)
    var datasets: [DatasetInfo] = []
    for name in try CheckpointIndex.names(file) { datasets.append(try file.dataset(name)) }
    self.datasets = datasets
    self.rows = rows
  }

  /// The names of the tensors in the order of the chunk table.
  /// - Throws: code 65.
  static func names(_ file: H5File) throws(Failure) -> [String] {
    let list = try file.attributes(of: group).first { $0.name == "datasets" }
    guard case .string(let text) = list?.value, let names = try JSON.parse(text).arrayValue else {
      throw Failure.damaged(file.path, "the list of tensors is missing", group)
    }
    return names.compactMap(\.stringValue)
  }

  /// The same as `read`, read once and sent to all ranks.
  /// - Collective: all ranks of `communicator`; all throw or none.
  static func shared(_ path: String, _ communicator: Communicator) throws(Failure) -> CheckpointIndex {
    try H5File.startLibrary(on: communicator)
    let own = try communicator.agreed { () throws(Failure) -> CheckpointIndex? in
      communicator.rank == 0 ? try read(path) : nil
    }
    let text = try communicator.broadcast(own?.json.line ?? "")
    return if let own { own } else { try CheckpointIndex(try JSON.parse(text), path: path) }
  }

  private var json: JSON {
    let attributes = header.attributes.map { ($0.name, $0.value.json) }
    let tensors = datasets.map { tensor -> JSON in
      .array([.string(tensor.name), .string(tensor.kind?.rawValue ?? "")] + tensor.shape.map { .int($0) })
    }
    let numbers = rows.flatMap(\.numbers).map { JSON.int(Int($0)) }
    return .object([("header", .object(attributes)), ("tensors", .array(tensors)), ("rows", .array(numbers))])
  }

  private init(_ json: JSON, path: String) throws(Failure) {
    let attributes = json["header"]?.members?.map { (name: $0.key, value: AttributeValue($0.value)) } ?? []
    header = try CheckpointHeader(attributes, path: path)
    datasets = (json["tensors"]?.arrayValue ?? []).map { tensor in
      let fields = tensor.arrayValue ?? []
      return DatasetInfo(
        name: fields[0].stringValue ?? "", kind: ElementKind(rawValue: fields[1].stringValue ?? ""),
        shape: fields.dropFirst(2).compactMap(\.intValue), offset: nil)
    }
    let numbers = (json["rows"]?.arrayValue ?? []).map { Int64($0.intValue ?? 0) }
    rows = stride(from: 0, to: numbers.count, by: ChunkRow.columns).map {
      ChunkRow(numbers[$0..<$0 + ChunkRow.columns])
    }
  }
}

extension AttributeValue {
  /// The value as JSON.
  var json: JSON {
    switch self {
    case .int(let number): return .int(Int(number))
    case .double(let number): return .double(number)
    case .string(let text): return .string(text)
    }
  }

  /// The value that `json` came from.
  init(_ json: JSON) {
    switch json {
    case .int(let number): self = .int(Int64(number))
    case .double(let number): self = .double(number)
    default: self = .string(json.stringValue ?? "")
    }
  }
}
