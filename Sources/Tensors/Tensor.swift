/// Float32 values on pooled storage: a handle plus a shape, always contiguous, row-major.
///
/// Copies of the handle share the values. Views are contiguous row ranges of the same storage.
public struct Tensor: @unchecked Sendable {
  /// The extents.
  public let shape: Shape
  /// Where the values are.
  public let storage: Storage
  /// The first value's place in the storage.
  public let offset: Int

  /// A tensor whose values are whatever the storage held before.
  public init(uninitialized shape: Shape) {
    self.init(storage: Storage(count: shape.count), offset: 0, shape: shape)
  }

  /// A tensor of zeros.
  public init(zeros shape: Shape) { self.init(repeating: 0, shape) }

  /// A tensor of one repeated value.
  public init(repeating value: Float, _ shape: Shape) {
    self.init(uninitialized: shape)
    fill(value)
  }

  /// A tensor of given values in row-major order.
  public init(_ values: [Float], _ shape: Shape) {
    precondition(values.count == shape.count, "Tensor: \(values.count) values for shape \(shape)")
    self.init(uninitialized: shape)
    values.withUnsafeBufferPointer { source in
      if let base = source.baseAddress { pointer.update(from: base, count: values.count) }
    }
  }

  /// A contiguous view of a storage.
  public init(storage: Storage, offset: Int, shape: Shape) {
    precondition(
      offset >= 0 && offset + shape.count <= storage.capacity,
      "Tensor: view of \(shape) at \(offset) in a storage of \(storage.capacity)")
    self.storage = storage
    self.offset = offset
    self.shape = shape
  }

  /// The number of values.
  public var count: Int { shape.count }
  /// The first value. Valid as long as the storage lives.
  public var pointer: UnsafeMutablePointer<Float> { storage.base + offset }

  /// A view of some rows of the leading axis.
  ///
  /// - Shapes: [R, ...] -> [range.count, ...]
  public func rows(_ range: Range<Int>) -> Tensor {
    precondition(
      shape.rank > 0 && range.lowerBound >= 0 && range.upperBound <= shape[0],
      "rows(\(range)) of a tensor of shape \(shape)")
    let inner = shape.dims.dropFirst().reduce(1, *)
    return Tensor(
      storage: storage, offset: offset + range.lowerBound * inner,
      shape: Shape([range.count] + shape.dims.dropFirst()))
  }

  /// A view of the same values under another shape.
  public func reshaped(_ shape: Shape) -> Tensor {
    precondition(shape.count == count, "reshaped: \(self.shape) to \(shape)")
    return Tensor(storage: storage, offset: offset, shape: shape)
  }

  /// The values in row-major order.
  public var array: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }

  /// The same values on storage of their own.
  public func copy() -> Tensor {
    let result = Tensor(uninitialized: shape)
    result.assign(self)
    return result
  }

  /// Overwrites all values by those of a tensor of the same count.
  public func assign(_ source: Tensor) {
    precondition(source.count == count, "assign: \(source.shape) to \(shape)")
    Team.split(count, grain: Kernels.grain) { range in
      (pointer + range.lowerBound).update(from: source.pointer + range.lowerBound, count: range.count)
    }
  }

  /// Sets all values to one.
  public func fill(_ value: Float) {
    Team.split(count, grain: Kernels.grain) { range in
      Kernels.table.pointee.fill(pointer + range.lowerBound, value, range.count)
    }
  }

  /// The only value.
  public var item: Float {
    precondition(count == 1, "item: a tensor of shape \(shape) holds \(count) values")
    return pointer.pointee
  }
}
