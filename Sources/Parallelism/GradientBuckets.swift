import Autodiff
import Basics
import Layers
import Messaging
import Tensors

/// What the gradients of one step look like after their reduction; the same on all ranks except for the times.
public struct BucketReport: Sendable {
  /// How many gradient values are infinite or not a number. Not 0: stop before the update.
  public let nonFinite: Int
  /// The parameters that hold these values.
  public let nonFiniteNames: [String]
  /// The sum of squares of the reduced gradient, in double.
  public let sumOfSquares: Double
  /// The sum of squares of each trainable parameter's reduced gradient, in the arena's order.
  public let parameterSumsOfSquares: [Double]
  /// The time of the reductions during which this rank went on computing.
  /// - Units: seconds.
  public let hiddenSeconds: Double
  /// The time this rank stood still for reductions: what communication really costs.
  /// - Units: seconds.
  public let waitSeconds: Double

  /// The 2-norm of the reduced gradient.
  public var norm: Double { sumOfSquares.squareRoot() }
}

/// Sums the gradients of all ranks, bucket by bucket, while backward still computes. What has no gradient is not sent.
///
/// A bucket is handed to the communication thread when the gradients of all its parameters are final, but never
/// before its predecessor, so that all ranks reduce in one order. With or without overlap the same reductions are
/// made, so the result is the same bit for bit. With one rank nothing is sent and nothing is copied.
///
/// The sums are plain: whoever wants a mean over uneven blocks scales the loss by (local / global) first.
public final class GradientBuckets {
  /// The default size of a bucket: 25 MiB.
  public static let defaultBucketBytes = 25 << 20

  private let arena: ParameterArena
  private let communicator: Communicator
  private let plan: BucketPlan
  private let bucketOfParameter: [Int]
  private let overlaps: Bool
  private let memory: NodeMemory?
  private var pending: [Int] = []
  private var requests: [Request] = []
  private var isArmed = false

  /// Cuts `arena` into buckets. Local.
  /// - Parameters:
  ///   - bucketBytes: at least 1; the first bucket is at most 1 MiB. The same on all ranks.
  ///   - overlap: false to reduce everything after backward. The same on all ranks.
  ///   - shared: where the gradients of `arena` were moved to; nil when they were not. The same on all ranks.
  public init(
    arena: ParameterArena, communicator: Communicator, bucketBytes: Int = defaultBucketBytes, overlap: Bool = true,
    shared: SharedGradients? = nil
  ) {
    self.arena = arena
    self.communicator = communicator
    overlaps = overlap
    memory = shared?.memory
    precondition(
      memory == nil || memory?.floats == arena.gradients.pointer, "GradientBuckets: the gradients of another arena")
    plan = BucketPlan(of: arena, bucketBytes: bucketBytes)
    bucketOfParameter = plan.bucketOfParameter
  }

  /// The number of buckets.
  public var count: Int { plan.buckets.count }

  /// The size of each bucket in the order of reduction.
  /// - Units: bytes.
  public var bucketBytes: [Int] { plan.buckets.map { $0.elements.count * MemoryLayout<Float>.size } }

  /// Sets every gradient to 0, as soon as no rank of the node reads the last step's sums any more. Call it before the
  /// first backward pass of a step, and as late as that: then nobody is left to wait for.
  /// - Throws: what the MPI library reported.
  /// - Collective: all ranks.
  public func zeroGradients() throws(Failure) {
    if let memory { try wait(communicator.startReuse(memory)) }
    arena.zeroGradients()
  }

  /// Says that this rank has used the reduced gradients: other ranks may overwrite them. Without this call
  /// `zeroGradients` says it, and waits longer. Local.
  public func release() { memory?.release() }

  /// Makes the coming backward pass hand over its gradients. Call before the last micro-batch's backward. Local.
  public func arm() {
    guard overlaps, communicator.size > 1 else { return }
    precondition(requests.isEmpty, "GradientBuckets.arm: the step before was not finished")
    isArmed = true
    pending = plan.buckets.map { bucket in bucket.parameters.filter { !arena.trainable[$0].isFrozen }.count }
    for (index, parameter) in arena.trainable.enumerated() where !parameter.isFrozen {
      parameter.gradientReady = { [weak self] _ in self?.gradientIsFinal(index) }
    }
  }

  /// Hands over what is left, waits for all sums, and measures the reduced gradient, which is then in
  /// `arena.reducedGradients`.
  /// - Throws: what the MPI library reported.
  /// - Collective: all ranks.
  public func finish() throws(Failure) -> BucketReport {
    disarm()
    if communicator.size > 1 {
      while requests.count < count { hand(requests.count) }
    }
    var sums = [Double](repeating: 0, count: arena.trainable.count)
    var waitSeconds = 0.0
    var busySeconds = 0.0
    for (number, bucket) in plan.buckets.enumerated() {
      if communicator.size > 1 {
        let start = monotonicSeconds()
        let request = requests[number]
        try wait(request)
        waitSeconds += monotonicSeconds() - start
        busySeconds += request.busySeconds
      }
      // The next bucket is being reduced while this one is measured.
      for index in bucket.parameters {
        let range = arena.range(at: index)
        sums[index] = OpClock.measure(.optimiser, work: range.count) {
          Kernels.sumOfSquares(arena.reducedGradients.pointer + range.lowerBound, count: range.count)
        }
      }
    }
    requests.removeAll(keepingCapacity: true)
    // In the arena's order, so that the total does not depend on the cut into buckets.
    let broken = sums.indices.filter { !sums[$0].isFinite }
    return BucketReport(
      nonFinite: broken.map(nonFiniteCount).reduce(0, +), nonFiniteNames: broken.map { arena.trainable[$0].name },
      sumOfSquares: sums.reduce(0, +), parameterSumsOfSquares: sums,
      hiddenSeconds: max(0, busySeconds - waitSeconds), waitSeconds: waitSeconds)
  }

  private func gradientIsFinal(_ index: Int) {
    let bucket = bucketOfParameter[index]
    precondition(pending[bucket] > 0, "GradientBuckets: \(arena.trainable[index].name) was final twice in a pass")
    pending[bucket] -= 1
    while requests.count < count, pending[requests.count] == 0 { hand(requests.count) }
  }

  private func hand(_ number: Int) {
    let elements = plan.buckets[number].elements
    requests.append(
      memory.map { communicator.startAllReduceSum($0, elements) }
        ?? communicator.startAllReduceSum(arena.gradients.pointer + elements.lowerBound, elements.count))
  }

  private func wait(_ request: Request) throws(Failure) {
    try OpClock.measure(.communication) { Result { () throws(Failure) in try request.wait() } }.get()
  }

  private func disarm() {
    guard isArmed else { return }
    isArmed = false
    for parameter in arena.trainable { parameter.gradientReady = nil }
  }

  // The square of a float always fits a double, so only a broken value makes a sum of squares not finite.
  private func nonFiniteCount(_ index: Int) -> Int {
    let range = arena.range(at: index)
    return Kernels.nonFiniteCount(arena.reducedGradients.pointer + range.lowerBound, count: range.count)
  }
}
