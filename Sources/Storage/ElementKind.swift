import CHDF5

/// The number types a dataset may hold, in the byte order of this machine.
public enum ElementKind: String, Sendable, CaseIterable {
  case float32 = "f32"
  case float64 = "f64"
  case int32 = "i32"
  case int64 = "i64"
  case uint8 = "u8"

  /// Bytes of one element.
  public var bytes: Int {
    switch self {
    case .uint8: return 1
    case .float32, .int32: return 4
    case .float64, .int64: return 8
    }
  }

  /// The library's type; call it inside the gate.
  var type: hid_t {
    switch self {
    case .float32: return chdf5_float32()
    case .float64: return chdf5_float64()
    case .int32: return chdf5_int32()
    case .int64: return chdf5_int64()
    case .uint8: return chdf5_uint8()
    }
  }

  /// The kind of a type found in a file, nil when it is none of these; call it inside the gate.
  init?(type: hid_t) {
    guard let kind = ElementKind.allCases.first(where: { H5Tequal(type, $0.type) > 0 }) else { return nil }
    self = kind
  }
}

/// What a file says about one of its datasets.
public struct DatasetInfo: Sendable, Equatable {
  /// The full path inside the file, without the leading slash.
  public let name: String
  /// The element type, nil when it is none that this program writes.
  public let kind: ElementKind?
  /// The lengths of its axes; empty for a scalar.
  public let shape: [Int]
  /// The byte in the file where its elements begin; nil when it is not one contiguous block.
  public let offset: Int?

  /// Describes a dataset.
  public init(name: String, kind: ElementKind?, shape: [Int], offset: Int?) {
    self.name = name
    self.kind = kind
    self.shape = shape
    self.offset = offset
  }

  /// The number of elements.
  public var count: Int { shape.reduce(1, *) }

  /// The bytes of all elements; 0 when the element type is unknown.
  public var bytes: Int { count * (kind?.bytes ?? 0) }
}

/// A value attached to a group, dataset or file.
public enum AttributeValue: Sendable, Equatable {
  case int(Int64)
  case double(Double)
  case string(String)
}
