/// A box of elements of a row-major array: where it starts and how far it reaches along each axis.
public struct Hyperslab: Equatable, Sendable {
  /// The first index along each axis.
  public let start: [Int]
  /// The number of indices along each axis.
  public let count: [Int]

  /// A box.
  public init(start: [Int], count: [Int]) {
    precondition(start.count == count.count, "Hyperslab: \(start) and \(count) differ in rank")
    self.start = start
    self.count = count
  }

  /// The number of elements in the box.
  public var elements: Int { count.reduce(1, *) }

  /// The boxes that together hold the elements `range` of an array, counted row-major, in that order.
  ///
  /// There are at most 2 * rank - 1 of them: a ragged start, whole rows, a ragged end, along each axis.
  public static func covering(_ range: Range<Int>, of shape: [Int]) -> [Hyperslab] {
    guard !range.isEmpty else { return [] }
    guard let length = shape.first else { return [Hyperslab(start: [], count: [])] }
    let rest = Array(shape.dropFirst())
    let row = rest.reduce(1, *)
    precondition(range.upperBound <= length * row, "Hyperslab: elements \(range) of an array \(shape)")

    func part(ofRow index: Int, _ range: Range<Int>) -> [Hyperslab] {
      covering(range, of: rest).map { Hyperslab(start: [index] + $0.start, count: [1] + $0.count) }
    }
    let (first, head) = range.lowerBound.quotientAndRemainder(dividingBy: row)
    let (last, tail) = range.upperBound.quotientAndRemainder(dividingBy: row)
    if first == last { return part(ofRow: first, head..<tail) }
    let whole = (head == 0 ? first : first + 1)..<last
    var boxes: [Hyperslab] = []
    if head > 0 { boxes += part(ofRow: first, head..<row) }
    if !whole.isEmpty {
      boxes.append(Hyperslab(start: [whole.lowerBound] + rest.map { _ in 0 }, count: [whole.count] + rest))
    }
    return boxes + part(ofRow: last, 0..<tail)
  }
}
