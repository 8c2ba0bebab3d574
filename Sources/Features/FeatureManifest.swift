import Basics
import Storage

/// What a file of features says about itself: attributes of the HDF5 file, `manifest.json` of a folder.
public struct FeatureManifest: Equatable, Sendable {
  /// The value of `format`.
  static let format = "sslmpi-features-1"
  /// Arrays that stand beside the features.
  static let labels = "labels"
  static let index = "index"
  /// The images as the encoder took them.
  public static let inputs = "inputs"
  static let companions = [labels, index, inputs]
  /// The entry that holds the names of the classes.
  static let classes = "classes"

  /// Where the features come from; its `feature` is empty, since a file may hold several kinds.
  public var origin: FeatureOrigin
  /// The names of the classes.
  public var classNames: [String]
  /// How many images there are.
  public var count: Int

  /// A manifest.
  public init(origin: FeatureOrigin, classNames: [String], count: Int) {
    self.origin = origin
    self.origin.feature = ""
    self.classNames = classNames
    self.count = count
  }

  /// Its entries in a fixed order.
  var fields: [(name: String, value: JSON)] {
    [
      ("format", .string(Self.format)), ("checkpoint", .string(origin.checkpoint)),
      ("checkpoint_sha256", .string(origin.checkpointHash)), ("weights", .string(origin.weights)),
      ("transform", .string(origin.transform)), ("data", .string(origin.data)), ("data_hash", .string(origin.dataHash)),
      ("n", .int(count)), (Self.classes, .array(classNames.map { .string($0) })),
    ]
  }

  /// Reads what `fields` were written from.
  ///
  /// - Parameters:
  ///   - value: the entry of a name. Files of other programs need none of them.
  ///   - count: images, as the arrays say.
  /// - Throws: bad data when the format is another one, or the entries and the arrays do not fit each other.
  init(count: Int, path: String, _ value: (String) -> JSON?) throws(Failure) {
    if let format = value("format"), format != .string(Self.format) {
      throw Failure(.badData, "the format is \(format.line) and not \(Self.format)", at: path)
    }
    if let said = value("n")?.intValue, said != count {
      throw Failure(.badData, "the arrays have \(count) rows and the manifest says \(said)", at: path)
    }
    func text(_ name: String) -> String { value(name)?.stringValue ?? "" }
    self.init(
      origin: FeatureOrigin(
        checkpoint: text("checkpoint"), checkpointHash: text("checkpoint_sha256"), weights: text("weights"),
        transform: text("transform"), data: text("data"), dataHash: text("data_hash")),
      classNames: (value(Self.classes)?.arrayValue ?? []).compactMap(\.stringValue), count: count)
  }
}

extension JSON {
  /// The same as an attribute: numbers and texts as they are, lists as their JSON text.
  var attribute: AttributeValue {
    switch self {
    case .int(let number): .int(Int64(number))
    case .string(let text): .string(text)
    default: .string(line)
    }
  }
}

extension AttributeValue {
  /// The JSON that `JSON.attribute` came from.
  func json(isList: Bool) throws(Failure) -> JSON {
    switch self {
    case .int(let number): .int(Int(number))
    case .double(let number): .double(number)
    case .string(let text): isList ? try JSON.parse(text) : .string(text)
    }
  }
}
