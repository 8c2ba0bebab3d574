/// The one-to-one map of rows to columns with the largest sum of counts; what is left over on the longer side stays
/// without a partner.
///
/// - Shapes: counts [R, C], all rows of equal length.
/// - Returns: the column of each row, nil for a row without one. Of equally good maps always the same one.
/// - Source: Jonker and Volgenant, Computing 38, 1987: shortest augmenting paths, O(min² max).
public func assignment(maximising counts: [[Int]]) -> [Int?] {
  let (rows, columns) = (counts.count, counts.first?.count ?? 0)
  precondition(counts.allSatisfy { $0.count == columns }, "assignment: rows of different lengths")
  guard rows > 0, columns > 0 else { return [Int?](repeating: nil, count: rows) }
  let isTall = rows > columns
  let (short, long) = (min(rows, columns), max(rows, columns))
  let cost = isTall ? (0..<columns).flatMap { c in counts.map { -$0[c] } } : counts.flatMap { $0.map { -$0 } }
  var paths = AugmentingPaths(cost: cost, rows: short, columns: long)  // cost [short, long]
  for row in 0..<short { paths.place(row) }
  guard isTall else {
    var partners = [Int?](repeating: nil, count: rows)
    for (column, row) in paths.partners.enumerated() where row >= 0 { partners[row] = column }
    return partners
  }
  return paths.partners.map { $0 >= 0 ? $0 : nil }
}

/// Rows that take columns one after the other, each along the cheapest path of exchanges.
private struct AugmentingPaths {
  let cost: [Int]  // [rows, columns]
  let columns: Int
  /// The row of each column, -1 for none.
  var partners: [Int]
  /// Prices under which every row has the column that is cheapest for it.
  private var rowPrice: [Int], columnPrice: [Int]

  init(cost: [Int], rows: Int, columns: Int) {
    self.cost = cost
    self.columns = columns
    partners = [Int](repeating: -1, count: columns)
    rowPrice = [Int](repeating: 0, count: rows)
    columnPrice = [Int](repeating: 0, count: columns)
  }

  mutating func place(_ row: Int) {
    var distance = [Int](repeating: .max, count: columns)
    var previous = [Int](repeating: -1, count: columns)  // the column that the path to a column comes from
    var isReached = [Bool](repeating: false, count: columns)
    var (current, last, length) = (row, -1, 0)
    repeat {
      var nearest = -1
      cost.withUnsafeBufferPointer { cost in
        let offset = current * columns
        let base = length - rowPrice[current]
        for column in 0..<columns where !isReached[column] {
          let candidate = base + cost[offset + column] - columnPrice[column]
          if candidate < distance[column] {
            distance[column] = candidate
            previous[column] = last
          }
          if nearest < 0 || distance[column] < distance[nearest] { nearest = column }
        }
      }
      length = distance[nearest]
      isReached[nearest] = true
      (current, last) = (partners[nearest], nearest)
    } while current >= 0
    rowPrice[row] += length
    for column in 0..<columns where isReached[column] && column != last {
      rowPrice[partners[column]] += length - distance[column]
      columnPrice[column] -= length - distance[column]
    }
    while last >= 0 {
      let from = previous[last]
      partners[last] = from >= 0 ? partners[from] : row
      last = from
    }
  }
}
