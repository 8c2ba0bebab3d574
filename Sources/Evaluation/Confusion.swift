import Basics

/// A contingency table whose columns stand where their classes stand, so that agreement is on the diagonal.
///
/// - Source: spec/evaluation.md E16.
public struct Confusion: Equatable, Sendable {
  /// Points by class and column, [K, K + clusters without a class]. A class without a cluster has a column of zeros.
  public let counts: [[Int]]
  /// The cluster of each column; nil for the column of a class without one.
  public let clusters: [Int?]

  /// Orders a table by a map of classes to clusters, those without a class last, in their order.
  public init(_ contingency: Contingency, clustersOfClasses map: [Int?]) {
    precondition(map.count == contingency.counts.count, "Confusion: a map of \(map.count) classes")
    let taken = Set(map.compactMap { $0 })
    let columns = map + contingency.clusterSizes.indices.filter { !taken.contains($0) }.map { Optional($0) }
    clusters = columns
    counts = contingency.counts.map { row in columns.map { $0.map { row[$0] } ?? 0 } }
  }

  /// The points on the diagonal.
  public var trace: Int { counts.indices.reduce(0) { $0 + counts[$1][$1] } }

  /// The table with a head line: class, then one column per cluster.
  public func csv(classNames: [String]) -> String {
    let head = ["class"] + clusters.map { $0.map { "cluster \($0)" } ?? "none" }
    let rows = counts.enumerated().map { number, row in
      [csvField(classNames.indices.contains(number) ? classNames[number] : "\(number)")] + row.map(String.init)
    }
    return ([head] + rows).map { $0.joined(separator: ",") + "\n" }.joined()
  }
}

/// A text as one field of a table of values separated by commas.
func csvField(_ text: String) -> String {
  guard text.contains(where: { ",\"\n\r".contains($0) }) else { return text }
  return "\"" + text.replacing("\"", with: "\"\"") + "\""
}
