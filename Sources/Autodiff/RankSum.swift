/// How an operation gets sums over all ranks: statistics of the global batch.
///
/// Every rank meets the same operations in the same order, forward and backward, so their sums need no names.
public struct RankSum {
  private let sum: (UnsafeMutablePointer<Double>, Int) -> Void

  /// A way to replace n values by their sums over all ranks.
  public init(_ sum: @escaping (UnsafeMutablePointer<Double>, Int) -> Void) { self.sum = sum }

  /// One rank: sums are what they are.
  public static var local: RankSum { RankSum { _, _ in } }

  /// Replaces each value by its sum over all ranks.
  /// - Collective: all ranks that `sum` reaches, with the same number of values.
  public func callAsFunction(_ values: inout [Double]) {
    values.withUnsafeMutableBufferPointer { buffer in
      if let base = buffer.baseAddress { sum(base, buffer.count) }
    }
  }
}
