import Basics
import Tensors

/// Whole numbers that live as long as their owner: queue ids, pointers, counters.
public final class IntegerBlock: @unchecked Sendable {
  /// The first number.
  public let base: UnsafeMutablePointer<Int64>
  /// How many numbers there are.
  public let count: Int

  /// `count` numbers, all `value`.
  public init(repeating value: Int64, count: Int) {
    self.count = count
    base = .allocate(capacity: max(count, 1))
    base.initialize(repeating: value, count: max(count, 1))
  }

  deinit { base.deallocate() }

  /// The number at `index`.
  public subscript(index: Int) -> Int64 {
    get {
      precondition(index >= 0 && index < count, "IntegerBlock: index \(index) of \(count)")
      return base[index]
    }
    set {
      precondition(index >= 0 && index < count, "IntegerBlock: index \(index) of \(count)")
      base[index] = newValue
    }
  }
}

/// State that has no gradient but belongs to a run: moments, teachers, queues, centres, counters.
///
/// It points at the owner's memory: a checkpoint reads from it and restores into it.
public struct NamedState: Sendable {
  /// The memory behind a state.
  public enum Payload: Sendable {
    /// Numbers in single precision.
    case floats(Tensor)
    /// Whole numbers.
    case integers(IntegerBlock)
    /// Rows of which a rank may hold a part only, each rank another one.
    case global(ScatteredRows)
  }

  /// The name in the checkpoint, for example `teacher/blocks.0.attn.qkv.weight`.
  public let name: String
  /// The shape, row-major.
  public let shape: [Int]
  /// The owner's memory.
  public let payload: Payload

  /// A state in single precision.
  public init(_ name: String, _ tensor: Tensor) {
    self.name = name
    shape = tensor.shape.dims
    payload = .floats(tensor)
  }

  /// A state of whole numbers.
  public init(_ name: String, _ numbers: IntegerBlock) {
    self.name = name
    shape = [numbers.count]
    payload = .integers(numbers)
  }

  /// A state of rows that ranks hold between them. The shape begins with their count.
  public init(_ name: String, shape: [Int], _ rows: ScatteredRows) {
    let rowBytes = shape.dropFirst().reduce(rows.element == .float32 ? 4 : 8, *)
    precondition(
      shape.first == rows.count && rowBytes == rows.rowBytes,
      "NamedState: \(name) \(shape) with \(rows.count) rows of \(rows.rowBytes) bytes")
    self.name = name
    self.shape = shape
    payload = .global(rows)
  }
}
