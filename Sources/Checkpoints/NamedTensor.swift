import Basics
import Storage

/// A tensor under the name it has in a checkpoint: `student/blocks.0.attn.qkv.weight`, `optimizer/m/...`.
///
/// Every rank holds the whole tensor, unless its rows are scattered over the ranks. The numbers stay where they are;
/// their owner keeps them alive and unchanged while they are saved or loaded.
public struct NamedTensor: @unchecked Sendable {
  /// The numbers: row-major, as many as the shape says.
  public enum Payload {
    case float32(UnsafeMutablePointer<Float>)
    case float64(UnsafeMutablePointer<Double>)
    case int32(UnsafeMutablePointer<Int32>)
    case int64(UnsafeMutablePointer<Int64>)
    /// Rows of which a rank may hold a part only.
    case scattered(ScatteredRows)
  }

  /// Path of the dataset in the file.
  public let name: String
  /// Lengths of the axes; empty for a scalar.
  public let shape: [Int]
  /// The numbers.
  public let payload: Payload

  /// Names a tensor.
  public init(name: String, shape: [Int], payload: Payload) {
    precondition(shape.allSatisfy { $0 >= 0 }, "NamedTensor: \(name) has shape \(shape)")
    self.name = name
    self.shape = shape
    self.payload = payload
  }

  /// The number of elements.
  public var count: Int { shape.reduce(1, *) }

  /// The element type in the file.
  public var kind: ElementKind {
    switch payload {
    case .float32: return .float32
    case .float64: return .float64
    case .int32: return .int32
    case .int64: return .int64
    case .scattered(let rows): return rows.element == .float32 ? .float32 : .int64
    }
  }

  /// The bytes of all elements.
  public var bytes: Int { count * kind.bytes }

  /// Its rows, when they are scattered over the ranks.
  var scattered: ScatteredRows? {
    if case .scattered(let rows) = payload { rows } else { nil }
  }

  /// The first byte of a tensor that this rank holds whole.
  var base: UnsafeMutableRawPointer {
    switch payload {
    case .float32(let pointer): return UnsafeMutableRawPointer(pointer)
    case .float64(let pointer): return UnsafeMutableRawPointer(pointer)
    case .int32(let pointer): return UnsafeMutableRawPointer(pointer)
    case .int64(let pointer): return UnsafeMutableRawPointer(pointer)
    case .scattered: preconditionFailure("NamedTensor: \(name) is scattered over the ranks")
    }
  }

  /// Some bytes of a tensor that this rank holds whole.
  func memory(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
    precondition(range.upperBound <= bytes, "NamedTensor: bytes \(range) of \(name) with \(bytes)")
    return UnsafeMutableRawBufferPointer(start: base + range.lowerBound, count: range.count)
  }
}
