/// Collects the random decisions of a step under the names of the method's specification.
///
/// Micro-batches append: an entry recorded twice grows along its first axis.
public final class DrawRecorder {
  /// One recorded decision.
  public struct Entry: Equatable, Sendable {
    /// The numbers of an entry.
    public enum Values: Equatable, Sendable {
      /// Whole numbers.
      case ints([Int32])
      /// Numbers in single precision.
      case floats([Float])
    }

    /// The name, for example `mask_order/0`.
    public let name: String
    /// The shape; the first axis counts the images of this rank.
    public fileprivate(set) var shape: [Int]
    /// The numbers, row-major.
    public fileprivate(set) var values: Values
  }

  /// The entries in the order of their first recording.
  public private(set) var entries: [Entry] = []

  /// A recorder without entries.
  public init() {}

  /// Records whole numbers.
  public func record(_ name: String, ints: [Int32], shape: [Int]) {
    record(Entry(name: name, shape: shape, values: .ints(ints)), count: ints.count)
  }

  /// Records numbers in single precision.
  public func record(_ name: String, floats: [Float], shape: [Int]) {
    record(Entry(name: name, shape: shape, values: .floats(floats)), count: floats.count)
  }

  private func record(_ entry: Entry, count: Int) {
    precondition(
      !entry.shape.isEmpty && entry.shape.reduce(1, *) == count,
      "DrawRecorder: \(entry.name) has \(count) values for shape \(entry.shape)")
    guard let place = entries.firstIndex(where: { $0.name == entry.name }) else { return entries.append(entry) }
    let old = entries[place]
    precondition(
      old.shape.dropFirst() == entry.shape.dropFirst(),
      "DrawRecorder: \(entry.name) of shape \(entry.shape) after \(old.shape)")
    entries[place].shape[0] += entry.shape[0]
    switch (old.values, entry.values) {
    case (.ints(let before), .ints(let after)): entries[place].values = .ints(before + after)
    case (.floats(let before), .floats(let after)): entries[place].values = .floats(before + after)
    default: preconditionFailure("DrawRecorder: \(entry.name) changes its type")
    }
  }
}
