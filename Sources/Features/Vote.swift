import Glibc

/// The classes that the neighbours of a query speak for.
///
/// - Source: spec/evaluation.md E1.
public struct Vote: Sendable {
  /// A neighbour counts exp(similarity / temperature); all count the same when it is infinite.
  public let temperature: Double

  /// A vote.
  public init(temperature: Double) {
    precondition(temperature > 0, "Vote: temperature \(temperature)")
    self.temperature = temperature
  }

  /// A vote in which every neighbour counts the same.
  public static let uniform = Vote(temperature: .infinity)

  /// The classes of the neighbours, that with most weight first; of equal ones the lower class comes first.
  public func ranking(_ neighbours: ArraySlice<Neighbour>) -> [Int32] {
    let top = Double(neighbours.first?.similarity ?? 0)
    var places: [Int32: Int] = [:]
    var scores: [(label: Int32, weight: Double)] = []
    for neighbour in neighbours {
      // The largest weight is 1: no temperature overflows.
      let weight = exp((Double(neighbour.similarity) - top) / temperature)
      if let place = places[neighbour.label] {
        scores[place].weight += weight
      } else {
        places[neighbour.label] = scores.count
        scores.append((neighbour.label, weight))
      }
    }
    return scores.sorted { $0.weight > $1.weight || ($0.weight == $1.weight && $0.label < $1.label) }.map(\.label)
  }

  /// How many votes of the first `k` neighbours put the right class first, and among the best min(5, k).
  ///
  /// - Shapes: neighbours, labels [q]
  public func hits(_ neighbours: [[Neighbour]], _ labels: ArraySlice<Int32>, k: Int) -> (top1: Int, top5: Int) {
    precondition(neighbours.count == labels.count, "Vote.hits: \(neighbours.count) lists, \(labels.count) labels")
    var hits = (top1: 0, top5: 0)
    for (list, label) in zip(neighbours, labels) {
      guard let place = ranking(list.prefix(k)).prefix(min(5, k)).firstIndex(of: label) else { continue }
      hits.top1 += place == 0 ? 1 : 0
      hits.top5 += 1
    }
    return hits
  }

  /// How many of the first `k` neighbours have their query's label.
  ///
  /// - Shapes: neighbours, labels [q]
  public static func matching(_ neighbours: [[Neighbour]], _ labels: ArraySlice<Int32>, k: Int) -> Int {
    zip(neighbours, labels).reduce(0) { sum, pair in sum + pair.0.prefix(k).count { $0.label == pair.1 } }
  }
}
