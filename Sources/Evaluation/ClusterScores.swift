/// How well one clustering fits the classes.
struct ClusterScores: Equatable {
  static let count = 4

  /// Points that agree with the best one-to-one map.
  let matches: Int
  let nmi, ami, ari: Double

  init(_ table: Contingency) {
    matches = table.matches(table.clustersOfClasses)
    nmi = table.normalizedMutualInformation
    ami = table.adjustedMutualInformation
    ari = table.adjustedRandIndex
  }

  /// As numbers that can be sent.
  var values: [Double] { [Double(matches), nmi, ami, ari] }

  init(_ values: [Double]) {
    matches = Int(values[0])
    (nmi, ami, ari) = (values[1], values[2], values[3])
  }
}
