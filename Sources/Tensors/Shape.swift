/// The extents of a tensor, outermost first; the last axis is contiguous.
public struct Shape: Equatable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
  /// The extents.
  public let dims: [Int]

  /// A shape of the given extents, all at least 0.
  public init(_ dims: [Int]) {
    precondition(dims.allSatisfy { $0 >= 0 }, "Shape: negative extent in \(dims)")
    self.dims = dims
  }

  /// A shape of the given extents.
  public init(arrayLiteral elements: Int...) { self.init(elements) }

  /// The number of elements; 1 for a scalar.
  public var count: Int { dims.reduce(1, *) }
  /// The number of axes.
  public var rank: Int { dims.count }
  /// The extent of one axis.
  public subscript(_ axis: Int) -> Int { dims[axis] }
  /// The extent of the last axis; 1 for a scalar.
  public var lastAxis: Int { dims.last ?? 1 }
  /// The product of all extents but the last: the number of rows.
  public var leading: Int { dims.dropLast().reduce(1, *) }
  /// The same shape with another last axis.
  public func replacingLast(_ extent: Int) -> Shape { Shape(dims.dropLast() + [extent]) }
  /// For example `[2, 50, 384]`.
  public var description: String { "\(dims)" }
}
