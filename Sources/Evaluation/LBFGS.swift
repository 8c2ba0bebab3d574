import Basics

/// Minimises a smooth function by limited-memory BFGS with a strong Wolfe line search, in double precision.
///
/// Local: values and gradients that are equal on all ranks give equal steps on all ranks.
/// - Source: Nocedal and Wright, Numerical Optimization, 2nd edition, algorithms 7.4, 7.5, 3.5 and 3.6.
struct LBFGS: Equatable {
  /// Pairs of steps and gradient differences that are kept.
  var memory = 10
  /// What the value must fall by, as a share of what the slope promises.
  var decrease = 1e-4
  /// What the slope may keep, as a share of the first.
  var curvature = 0.9
  /// The largest element of the gradient that counts as none.
  var tolerance = 1e-6
  /// Steps at most.
  var limit = 300

  /// How a search ended.
  struct Outcome: Equatable {
    var value: Double
    /// The largest element of the gradient, without its sign.
    var gradient: Double
    var iterations: Int
    var evaluations: Int
    var hasConverged: Bool
  }

  /// A place, the value and the gradient there.
  private struct Point {
    var x: [Double]
    var value: Double
    var gradient: [Double]
  }

  /// Moves `x` to a minimum.
  ///
  /// - Parameter function: the value at a place; writes the gradient.
  func minimise<E: Error>(
    _ x: inout [Double], _ function: (_ x: [Double], _ gradient: inout [Double]) throws(E) -> Double
  ) throws(E) -> Outcome {
    var evaluations = 0
    func evaluated(_ x: [Double]) throws(E) -> Point {
      evaluations += 1
      var gradient = [Double](repeating: 0, count: x.count)
      let value = try function(x, &gradient)
      return Point(x: x, value: value, gradient: gradient)
    }
    var point = try evaluated(x)
    var pairs: [CurvaturePair] = []
    var iterations = 0
    while largest(point.gradient) > tolerance, iterations < limit {
      let direction = direction(point.gradient, pairs)
      let slope = dot(direction, point.gradient)
      // Without a memory the length of the gradient says nothing about that of the step.
      let first = pairs.isEmpty ? 1 / dot(point.gradient, point.gradient).squareRoot() : 1
      var search = LineSearch(
        value: point.value, slope: slope, decrease: decrease, curvature: curvature, next: first)
      var best: Point?
      while let step = search.next {
        let trial = try evaluated(sum(point.x, step, direction))
        if search.take(value: trial.value, slope: dot(trial.gradient, direction)) { best = trial }
      }
      guard let next = best else {
        // Old pairs may have spoilt the direction; the steepest one is the last resort.
        guard !pairs.isEmpty else { break }
        pairs = []
        continue
      }
      iterations += 1
      if let pair = CurvaturePair(from: (point.x, point.gradient), to: (next.x, next.gradient)) {
        pairs.append(pair)
        if pairs.count > memory { pairs.removeFirst() }
      }
      point = next
    }
    x = point.x
    let size = largest(point.gradient)
    return Outcome(
      value: point.value, gradient: size, iterations: iterations, evaluations: evaluations,
      hasConverged: size <= tolerance)
  }

  /// Minus the inverse Hessian, as the pairs know it, times the gradient.
  private func direction(_ gradient: [Double], _ pairs: [CurvaturePair]) -> [Double] {
    var q = gradient
    var factors = [Double](repeating: 0, count: pairs.count)
    for (i, pair) in pairs.enumerated().reversed() {
      factors[i] = pair.inverse * dot(pair.step, q)
      add(-factors[i], pair.change, to: &q)
    }
    if let last = pairs.last { scale(&q, by: 1 / (last.inverse * dot(last.change, last.change))) }
    for (i, pair) in pairs.enumerated() {
      add(factors[i] - pair.inverse * dot(pair.change, q), pair.step, to: &q)
    }
    scale(&q, by: -1)
    return q
  }
}

/// A step, the change of the gradient along it, and 1 over their product.
private struct CurvaturePair {
  let step: [Double]
  let change: [Double]
  let inverse: Double

  /// Nil where the function does not curve upwards, which would make directions that go up.
  init?(from a: (x: [Double], gradient: [Double]), to b: (x: [Double], gradient: [Double])) {
    step = sum(b.x, -1, a.x)
    change = sum(b.gradient, -1, a.gradient)
    let product = dot(step, change)
    guard product > 1e-16 * dot(change, change) else { return nil }
    inverse = 1 / product
  }
}

// Vectors in a fixed order of additions, the same bits on every machine, which a library's would not be.

private func dot(_ a: [Double], _ b: [Double]) -> Double {
  a.withUnsafeBufferPointer { a in
    b.withUnsafeBufferPointer { b in
      // Four sums side by side, since one would wait for each addition.
      var (s0, s1, s2, s3) = (0.0, 0.0, 0.0, 0.0)
      let whole = a.count / 4 * 4
      for i in stride(from: 0, to: whole, by: 4) {
        s0 += a[i] * b[i]
        s1 += a[i + 1] * b[i + 1]
        s2 += a[i + 2] * b[i + 2]
        s3 += a[i + 3] * b[i + 3]
      }
      var total = (s0 + s1) + (s2 + s3)
      for i in whole..<a.count { total += a[i] * b[i] }
      return total
    }
  }
}

/// a + factor b.
private func sum(_ a: [Double], _ factor: Double, _ b: [Double]) -> [Double] {
  [Double](unsafeUninitializedCapacity: a.count) { result, count in
    a.withUnsafeBufferPointer { a in
      b.withUnsafeBufferPointer { b in
        for i in 0..<a.count { result.initializeElement(at: i, to: a[i] + factor * b[i]) }
      }
    }
    count = a.count
  }
}

/// a += factor b.
private func add(_ factor: Double, _ b: [Double], to a: inout [Double]) {
  a.withUnsafeMutableBufferPointer { a in
    b.withUnsafeBufferPointer { b in
      for i in 0..<a.count { a[i] += factor * b[i] }
    }
  }
}

private func scale(_ a: inout [Double], by factor: Double) {
  a.withUnsafeMutableBufferPointer { a in
    for i in 0..<a.count { a[i] *= factor }
  }
}

private func largest(_ a: [Double]) -> Double {
  a.withUnsafeBufferPointer { a in
    var top = 0.0
    for value in a { top = max(top, abs(value)) }
    return top
  }
}
