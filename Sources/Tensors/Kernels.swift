import CKernels

/// The kernels with their shapes checked, split over the thread team.
public enum Kernels {
  /// Set by `InstructionSet.force` only, between operations.
  nonisolated(unsafe) static var table: UnsafePointer<CKernelsTable> = ckernels_table(InstructionSet.initial.index)

  /// Fewer floats than this are not worth waking a thread.
  static let grain = 16384
  /// Reductions run over blocks of this many floats, whatever the number of threads.
  static let block = 65536
}

// Over flat arrays, as the arenas need them.
extension Kernels {
  /// One AdamW update: w *= 1 - lr wd; m, v follow g * gradientScale; w -= lr (m / bc1) / (sqrt(v / bc2) + eps).
  ///
  /// - Source: Loshchilov and Hutter, ICLR 2019, algorithm 2.
  public static func adamW(
    weights: UnsafeMutablePointer<Float>, gradients: UnsafePointer<Float>, m: UnsafeMutablePointer<Float>,
    v: UnsafeMutablePointer<Float>, count: Int, lr: Float, beta1: Float, beta2: Float, eps: Float, weightDecay: Float,
    biasCorrection1: Float, biasCorrection2: Float, gradientScale: Float
  ) {
    var settings = CKernelsAdamW(
      lr: lr, beta1: beta1, beta2: beta2, eps: eps, weight_decay: weightDecay, bias_correction1: biasCorrection1,
      bias_correction2: biasCorrection2, gradient_scale: gradientScale)
    withUnsafePointer(to: &settings) { settings in
      Team.split(count, grain: grain) { range in
        let i = range.lowerBound
        table.pointee.adamw(weights + i, gradients + i, m + i, v + i, range.count, settings)
      }
    }
  }

  /// average = momentum * average + (1 - momentum) * current.
  public static func exponentialAverage(
    _ average: UnsafeMutablePointer<Float>, _ current: UnsafePointer<Float>, count: Int, momentum: Float
  ) {
    Team.split(count, grain: grain) { range in
      table.pointee.exponential_average(
        average + range.lowerBound, current + range.lowerBound, range.count, momentum)
    }
  }

  /// x *= factor.
  public static func scale(_ x: UnsafeMutablePointer<Float>, count: Int, by factor: Float) {
    Team.split(count, grain: grain) { range in
      table.pointee.scaled(x + range.lowerBound, factor, x + range.lowerBound, range.count)
    }
  }

  /// y += x.
  public static func add(_ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, count: Int) {
    Team.split(count, grain: grain) { range in
      table.pointee.add(y + range.lowerBound, x + range.lowerBound, range.count)
    }
  }

  /// The sum in double, in a fixed block order whatever the number of threads.
  public static func sum(_ x: UnsafePointer<Float>, count: Int) -> Double {
    overBlocks(count) { table.pointee.sum(x + $0.lowerBound, $0.count) }.reduce(0, +)
  }

  /// The sum of squares in double, in a fixed block order whatever the number of threads.
  public static func sumOfSquares(_ x: UnsafePointer<Float>, count: Int) -> Double {
    overBlocks(count) { table.pointee.sum_of_squares(x + $0.lowerBound, $0.count) }.reduce(0, +)
  }

  /// The scalar product in double, in a fixed block order whatever the number of threads.
  public static func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, count: Int) -> Double {
    overBlocks(count) { table.pointee.dot(a + $0.lowerBound, b + $0.lowerBound, $0.count) }.reduce(0, +)
  }

  /// How many values are infinite or not a number.
  public static func nonFiniteCount(_ x: UnsafePointer<Float>, count: Int) -> Int {
    Int(overBlocks(count) { Double(table.pointee.non_finite(x + $0.lowerBound, $0.count)) }.reduce(0, +))
  }

  private static func overBlocks(_ count: Int, _ body: (Range<Int>) -> Double) -> [Double] {
    let blocks = (count + block - 1) / block
    return [Double](unsafeUninitializedCapacity: blocks) { results, initialized in
      let base = results.baseAddress
      Team.split(blocks) { range in
        for i in range { (base.unsafelyUnwrapped + i).initialize(to: body(i * block..<min((i + 1) * block, count))) }
      }
      initialized = blocks
    }
  }
}
