import Foundation

/// A matrix of doubles that remembers how it was made, for transcriptions of papers that need gradients.
///
/// No cleverness and nothing shared with the program: primitive operations, naive loops, one pullback each. Sides of
/// length 1 stretch in `+ - * /`, and their gradients are summed again.
public final class Plain {
  /// Rows.
  public let rows: Int
  /// Columns.
  public let columns: Int
  /// The numbers, row-major.
  public let values: [Double]
  /// d result / d self after `backward`, row-major.
  public private(set) var gradient: [Double]
  private let parents: [Plain]
  private let pull: ([Double]) -> [[Double]]

  /// A given matrix.
  public convenience init(_ values: [Double], _ rows: Int, _ columns: Int) {
    self.init(values, rows, columns, from: []) { _ in [] }
  }

  private init(
    _ values: [Double], _ rows: Int, _ columns: Int, from parents: [Plain], pull: @escaping ([Double]) -> [[Double]]
  ) {
    precondition(values.count == rows * columns, "Plain: \(values.count) values for \(rows) x \(columns)")
    self.values = values
    self.rows = rows
    self.columns = columns
    self.parents = parents
    self.pull = pull
    gradient = [Double](repeating: 0, count: values.count)
  }

  /// The single number of a 1 x 1 matrix.
  public var item: Double {
    precondition(values.count == 1, "Plain: \(rows) x \(columns) is no single number")
    return values[0]
  }

  /// The same numbers, where gradients end.
  public var detached: Plain { Plain(values, rows, columns) }

  /// Adds d self / d x to the gradient of everything that self was made from.
  public func backward() {
    precondition(values.count == 1, "Plain.backward: needs a single number")
    var order: [Plain] = []
    var seen: Set<ObjectIdentifier> = []
    func visit(_ node: Plain) {
      guard seen.insert(ObjectIdentifier(node)).inserted else { return }
      node.parents.forEach(visit)
      order.append(node)
    }
    visit(self)
    gradient[0] += 1
    for node in order.reversed() {
      for (parent, part) in zip(node.parents, node.pull(node.gradient)) {
        for i in part.indices { parent.gradient[i] += part[i] }
      }
    }
  }

  /// Applies a function of one number, with its derivative as a function of (x, y).
  public func map(_ f: (Double) -> Double, derivative: @escaping (Double, Double) -> Double) -> Plain {
    let y = values.map(f)
    let x = values
    return Plain(y, rows, columns, from: [self]) { dy in [dy.indices.map { dy[$0] * derivative(x[$0], y[$0]) }] }
  }

  /// self times other: [r, k] [k, c] -> [r, c].
  public func times(_ other: Plain) -> Plain {
    precondition(columns == other.rows, "Plain.times: \(rows) x \(columns) by \(other.rows) x \(other.columns)")
    let (a, b, r, k, c) = (values, other.values, rows, columns, other.columns)
    var y = [Double](repeating: 0, count: r * c)
    for i in 0..<r { for l in 0..<k { for j in 0..<c { y[i * c + j] += a[i * k + l] * b[l * c + j] } } }
    return Plain(y, r, c, from: [self, other]) { dy in
      var da = [Double](repeating: 0, count: r * k)
      var db = [Double](repeating: 0, count: k * c)
      for i in 0..<r {
        for l in 0..<k {
          for j in 0..<c {
            da[i * k + l] += dy[i * c + j] * b[l * c + j]
            db[l * c + j] += dy[i * c + j] * a[i * k + l]
          }
        }
      }
      return [da, db]
    }
  }

  /// Rows and columns exchanged.
  public var transposed: Plain {
    let (r, c) = (rows, columns)
    func turned(_ x: [Double], _ r: Int, _ c: Int) -> [Double] {
      (0..<c).flatMap { j in (0..<r).map { i in x[i * c + j] } }
    }
    return Plain(turned(values, r, c), c, r, from: [self]) { dy in [turned(dy, c, r)] }
  }

  /// Some rows, in the given order; a row may be taken twice.
  public func rows(_ chosen: [Int]) -> Plain {
    let (x, c, count) = (values, columns, values.count)
    return Plain(chosen.flatMap { x[$0 * c..<($0 + 1) * c] }, chosen.count, c, from: [self]) { dy in
      var dx = [Double](repeating: 0, count: count)
      for (place, row) in chosen.enumerated() { for j in 0..<c { dx[row * c + j] += dy[place * c + j] } }
      return [dx]
    }
  }

  /// Some neighbouring columns.
  public func columns(_ range: Range<Int>) -> Plain { transposed.rows(Array(range)).transposed }

  /// The matrices one below the other.
  public static func stacked(_ parts: [Plain]) -> Plain {
    let counts = parts.map(\.values.count)
    return Plain(
      parts.flatMap(\.values), parts.map(\.rows).reduce(0, +), parts[0].columns, from: parts
    ) { dy in
      var start = 0
      return counts.map { count in
        defer { start += count }
        return Array(dy[start..<start + count])
      }
    }
  }

  /// The sum of each row: [r, c] -> [r, 1].
  public var rowSums: Plain { times(Plain([Double](repeating: 1, count: columns), columns, 1)) }
  /// The mean of each row: [r, c] -> [r, 1].
  public var rowMeans: Plain { rowSums * Plain([1 / Double(columns)], 1, 1) }
  /// The mean of each column: [r, c] -> [1, c].
  public var columnMeans: Plain { transposed.rowMeans.transposed }
  /// The mean of all numbers.
  public var mean: Plain { rowMeans.columnMeans }
  /// Natural logarithm.
  public var log: Plain { map(Foundation.log) { x, _ in 1 / x } }
  /// e to the power of each number.
  public var exp: Plain { map(Foundation.exp) { _, y in y } }
  /// Square root.
  public var squareRoot: Plain {
    map {
      $0.squareRoot()
    } derivative: { _, y in
      0.5 / y
    }
  }
  /// max(x, 0).
  public var rectified: Plain {
    map {
      max($0, 0)
    } derivative: { x, _ in
      x > 0 ? 1 : 0
    }
  }
  /// x (1 + erf(x / sqrt 2)) / 2.
  public var gelu: Plain {
    map {
      0.5 * $0 * (1 + erf($0 / 2.0.squareRoot()))
    } derivative: { x, _ in
      0.5 * (1 + erf(x / 2.0.squareRoot())) + x * Foundation.exp(-x * x / 2) / (2 * Double.pi).squareRoot()
    }
  }

  /// Element by element.
  public static func + (a: Plain, b: Plain) -> Plain { stretched(a, b, +) { _, _ in (1, 1) } }
  /// Element by element.
  public static func - (a: Plain, b: Plain) -> Plain { stretched(a, b, -) { _, _ in (1, -1) } }
  /// Element by element.
  public static func * (a: Plain, b: Plain) -> Plain { stretched(a, b, *) { x, y in (y, x) } }
  /// Element by element.
  public static func / (a: Plain, b: Plain) -> Plain { stretched(a, b, /) { x, y in (1 / y, -x / (y * y)) } }
  /// A number times every element.
  public static func * (a: Double, b: Plain) -> Plain { Plain([a], 1, 1) * b }

  private static func stretched(
    _ a: Plain, _ b: Plain, _ f: (Double, Double) -> Double,
    slopes: @escaping (Double, Double) -> (Double, Double)
  ) -> Plain {
    let (r, c) = (max(a.rows, b.rows), max(a.columns, b.columns))
    precondition(
      [a, b].allSatisfy { ($0.rows == r || $0.rows == 1) && ($0.columns == c || $0.columns == 1) },
      "Plain: \(a.rows) x \(a.columns) with \(b.rows) x \(b.columns)")
    func places(_ m: Plain) -> [Int] {
      let (rowStep, columnStep, width) = (m.rows == 1 ? 0 : 1, m.columns == 1 ? 0 : 1, m.columns)
      return (0..<r).flatMap { i in (0..<c).map { j in i * rowStep * width + j * columnStep } }
    }
    let (pa, pb, x, y) = (places(a), places(b), a.values, b.values)
    return Plain((0..<r * c).map { f(x[pa[$0]], y[pb[$0]]) }, r, c, from: [a, b]) { dz in
      var dx = [Double](repeating: 0, count: x.count)
      var dy = [Double](repeating: 0, count: y.count)
      for i in dz.indices {
        let slope = slopes(x[pa[i]], y[pb[i]])
        dx[pa[i]] += dz[i] * slope.0
        dy[pb[i]] += dz[i] * slope.1
      }
      return [dx, dy]
    }
  }
}
