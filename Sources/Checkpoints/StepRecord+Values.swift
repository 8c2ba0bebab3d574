import Basics
import Storage

extension StepRecord.Values {
  var kind: ElementKind {
    switch self {
    case .floats: return .float32
    case .doubles: return .float64
    case .int32s: return .int32
    case .int64s: return .int64
    }
  }

  var bytes: [UInt8] {
    switch self {
    case .floats(let values): return values.withUnsafeBytes { Array($0) }
    case .doubles(let values): return values.withUnsafeBytes { Array($0) }
    case .int32s(let values): return values.withUnsafeBytes { Array($0) }
    case .int64s(let values): return values.withUnsafeBytes { Array($0) }
    }
  }

  var count: Int {
    switch self {
    case .floats(let values): return values.count
    case .doubles(let values): return values.count
    case .int32s(let values): return values.count
    case .int64s(let values): return values.count
    }
  }

  /// Values of the same kind out of bytes.
  func reading(_ bytes: [UInt8]) -> StepRecord.Values {
    bytes.withUnsafeBytes { bytes in
      switch self {
      case .floats: return .floats(Array(bytes.bindMemory(to: Float.self)))
      case .doubles: return .doubles(Array(bytes.bindMemory(to: Double.self)))
      case .int32s: return .int32s(Array(bytes.bindMemory(to: Int32.self)))
      case .int64s: return .int64s(Array(bytes.bindMemory(to: Int64.self)))
      }
    }
  }

  /// Adds values of the same kind at the end.
  mutating func append(_ more: StepRecord.Values) {
    switch (self, more) {
    case (.floats(let values), .floats(let new)): self = .floats(values + new)
    case (.doubles(let values), .doubles(let new)): self = .doubles(values + new)
    case (.int32s(let values), .int32s(let new)): self = .int32s(values + new)
    case (.int64s(let values), .int64s(let new)): self = .int64s(values + new)
    default: preconditionFailure("StepRecord: \(more.kind) after \(kind)")
    }
  }
}
