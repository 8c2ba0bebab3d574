import Basics

extension Communicator {
  /// Replaces each value by its sum over all ranks.
  /// - Throws: `.rankLost` when a rank or a link is gone; so do all calls below.
  /// - Collective: all ranks, with the same `n`.
  public func allReduceSum(_ p: UnsafeMutablePointer<Float>, _ n: Int) throws(Failure) {
    try startAllReduceSum(p, n).wait()
  }

  /// Replaces each value by its sum over all ranks.
  /// - Collective: all ranks, with the same `n`.
  public func allReduceSum(_ p: UnsafeMutablePointer<Double>, _ n: Int) throws(Failure) {
    try reduce(p, n, .double, .sum).wait()
  }

  /// Replaces each value by its sum over all ranks.
  /// - Collective: all ranks, with the same `n`.
  public func allReduceSum(_ p: UnsafeMutablePointer<Int64>, _ n: Int) throws(Failure) {
    try reduce(p, n, .int64, .sum).wait()
  }

  /// Replaces each value by the largest of all ranks.
  /// - Collective: all ranks, with the same `n`.
  public func allReduceMax(_ p: UnsafeMutablePointer<Double>, _ n: Int) throws(Failure) {
    try reduce(p, n, .double, .max).wait()
  }

  /// Replaces each value by the largest of all ranks.
  /// - Collective: all ranks, with the same `n`.
  public func allReduceMax(_ p: UnsafeMutablePointer<Int64>, _ n: Int) throws(Failure) {
    try reduce(p, n, .int64, .max).wait()
  }

  /// Replaces each value by the smallest of all ranks.
  /// - Collective: all ranks, with the same `n`.
  public func allReduceMin(_ p: UnsafeMutablePointer<Double>, _ n: Int) throws(Failure) {
    try reduce(p, n, .double, .min).wait()
  }

  /// Replaces each value by the smallest of all ranks.
  /// - Collective: all ranks, with the same `n`.
  public func allReduceMin(_ p: UnsafeMutablePointer<Int64>, _ n: Int) throws(Failure) {
    try reduce(p, n, .int64, .min).wait()
  }

  /// The sums over all ranks.
  /// - Collective: all ranks, with the same number of values.
  public func allReduceSum(_ values: [Double]) throws(Failure) -> [Double] {
    try reduced(values, .double, .sum)
  }

  /// The sums over all ranks.
  /// - Collective: all ranks, with the same number of values.
  public func allReduceSum(_ values: [Int64]) throws(Failure) -> [Int64] {
    try reduced(values, .int64, .sum)
  }

  /// The largest of all ranks.
  /// - Collective: all ranks, with the same number of values.
  public func allReduceMax(_ values: [Double]) throws(Failure) -> [Double] {
    try reduced(values, .double, .max)
  }

  /// The largest of all ranks.
  /// - Collective: all ranks, with the same number of values.
  public func allReduceMax(_ values: [Int64]) throws(Failure) -> [Int64] {
    try reduced(values, .int64, .max)
  }

  /// The smallest of all ranks.
  /// - Collective: all ranks, with the same number of values.
  public func allReduceMin(_ values: [Double]) throws(Failure) -> [Double] {
    try reduced(values, .double, .min)
  }

  /// The smallest of all ranks.
  /// - Collective: all ranks, with the same number of values.
  public func allReduceMin(_ values: [Int64]) throws(Failure) -> [Int64] {
    try reduced(values, .int64, .min)
  }

  /// Begins to replace each value by its sum over all ranks, and returns at once.
  ///
  /// The values may not be touched until the request's `wait()` has returned.
  /// - Collective: all ranks, with the same `n`.
  public func startAllReduceSum(_ p: UnsafeMutablePointer<Float>, _ n: Int) -> Request {
    startAllReduceSum(p, n, through: allReduceRoute)
  }

  /// The same on a route of the caller's choice; the window must be open.
  func startAllReduceSum(_ p: UnsafeMutablePointer<Float>, _ n: Int, through route: AllReduceRoute) -> Request {
    guard route == .window, size > 1, n > 0 else { return reduce(p, n, .float, .sum) }
    return submit(.windowSum(p, count: n))
  }

  private func reduce(_ p: UnsafeMutableRawPointer, _ n: Int, _ element: Element, _ how: Reduction) -> Request {
    precondition(n >= 0, "all-reduce of \(n) values")
    // An empty reduction is not sent: `n` is the same on all ranks, so all of them skip it.
    guard size > 1, n > 0 else { return Request() }
    return submit(.allReduce(p, count: n, element, how))
  }

  private func reduced<T>(_ values: [T], _ element: Element, _ how: Reduction) throws(Failure) -> [T] {
    guard size > 1, !values.isEmpty else { return values }
    let copy = UnsafeMutableBufferPointer<T>.allocate(capacity: values.count)
    defer { copy.deallocate() }
    _ = copy.initialize(from: values)
    guard let base = copy.baseAddress else { return values }
    try reduce(base, values.count, element, how).wait()
    return Array(copy)
  }
}
