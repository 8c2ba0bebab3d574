/// Rows of an array of which no rank need hold all: how they are saved from where they are, and loaded to there.
///
/// Rows have the numbers that they have in a file, whoever holds them. A rank that writes or reads a part of the file
/// has those rows alone; nobody ever has all of them, unless they stand in its reach anyway.
public struct ScatteredRows: @unchecked Sendable {
  /// The type of the numbers.
  public enum Element: Sendable { case float32, int64 }

  /// The type of the numbers.
  public let element: Element
  /// How many rows there are.
  public let count: Int
  /// How many bytes a row has.
  public let rowBytes: Int
  /// All rows, where they stand in memory that this rank reads; nil where they do not.
  public let whole: UnsafeRawPointer?

  private let collecting: ([Range<Int>], UnsafeMutableRawPointer) throws(Failure) -> Void
  private let beginning: () throws(Failure) -> Void
  private let storing: (Range<Int>, UnsafeRawPointer) -> Void
  private let ending: () throws(Failure) -> Void
  private let copying: () -> ScatteredRows

  /// Rows as their owner moves them; what each function has to do stands with the call of the same name.
  public init(
    _ element: Element, count: Int, rowBytes: Int, whole: UnsafeRawPointer?,
    collect: @escaping ([Range<Int>], UnsafeMutableRawPointer) throws(Failure) -> Void,
    beginLoading: @escaping () throws(Failure) -> Void, store: @escaping (Range<Int>, UnsafeRawPointer) -> Void,
    endLoading: @escaping () throws(Failure) -> Void, copied: @escaping () -> ScatteredRows
  ) {
    self.element = element
    self.count = count
    self.rowBytes = rowBytes
    self.whole = whole
    collecting = collect
    beginning = beginLoading
    storing = store
    ending = endLoading
    copying = copied
  }

  /// Gives every rank the rows it wants.
  /// - Parameters:
  ///   - wanted: the rows that each rank wants; empty for none.
  ///   - target: room for this rank's.
  /// - Throws: what the MPI library reported.
  /// - Collective: all ranks, with the same `wanted`.
  public func collect(_ wanted: [Range<Int>], into target: UnsafeMutableRawPointer) throws(Failure) {
    try collecting(wanted, target)
  }

  /// Makes ready to take all rows anew. Other state of the same owner, such as its counters, has been loaded.
  /// - Throws: on every rank: code 65 when that state makes no sense.
  /// - Collective: all ranks.
  public func beginLoading() throws(Failure) { try beginning() }

  /// Takes from `source` those of some rows that this rank holds. Local.
  public func store(_ rows: Range<Int>, from source: UnsafeRawPointer) { storing(rows, source) }

  /// Returns when all rows are where they belong.
  /// - Collective: all ranks.
  public func endLoading() throws(Failure) { try ending() }

  /// The same rows as they are now; they can be collected, but not loaded. Local; all ranks copy what they hold.
  public func copied() -> ScatteredRows { copying() }
}
