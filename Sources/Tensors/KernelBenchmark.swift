import Basics

/// The speed of the fused kernels against a triad measured in the same run.
public enum KernelBenchmark {
  /// One kernel's speed.
  public struct Result: Sendable {
    /// The kernel.
    public let name: String
    /// Compulsory traffic: every array read or written once, in 10⁹ bytes a second.
    public let gigabytesPerSecond: Double
    /// The triad y = a + s b, run in turn with the kernel, in the same units.
    public let triad: Double
  }

  /// The triad alone over three arrays, whose memory goes back to the system with it.
  public struct Triad {
    private let arrays: [Tensor]
    private var bytes: Double { Double(arrays[0].count * MemoryLayout<Float>.stride) }

    /// Takes the arrays; touching them for the first time takes longer than measuring.
    public init(bytesOfArray bytes: Int) {
      let count = bytes / MemoryLayout<Float>.stride
      arrays = (0..<3).map { _ in Tensor(storage: .unpooled(count), offset: 0, shape: [count]) }
      for array in arrays { array.fill(0.5) }
    }

    /// Its speed over about `seconds`.
    ///
    /// - Units: 10⁹ bytes a second, all threads of the team together.
    public func gigabytes(seconds: Double) -> Double {
      var (elapsed, runs) = (0.0, 0.0)
      triad(arrays)
      repeat {
        elapsed += time { triad(arrays) }
        runs += 1
      } while elapsed < seconds
      return 3e-9 * bytes * runs / elapsed
    }
  }

  private struct Entry {
    let name: String
    let arrays: Double
    let run: () -> Void
  }

  /// Measures every kernel over [rows, width] for about `seconds` each.
  public static func measure(rows: Int, width: Int, seconds: Double) -> [Result] {
    let arrays = (0..<4).map { _ in Tensor(repeating: 0.5, [rows, width]) }
    return entries(arrays).map { entry in
      var times = (kernel: 0.0, triad: 0.0)
      var runs = 0.0
      entry.run()
      repeat {
        times.kernel += time(entry.run)
        times.triad += time { triad(arrays) }
        runs += 1
      } while times.kernel < seconds
      let bytes = Double(rows * width * MemoryLayout<Float>.stride) * runs * 1e-9
      return Result(
        name: entry.name, gigabytesPerSecond: entry.arrays * bytes / times.kernel, triad: 3 * bytes / times.triad)
    }
  }

  private static func time(_ body: () -> Void) -> Double {
    let start = monotonicSeconds()
    body()
    return monotonicSeconds() - start
  }

  private static func triad(_ a: [Tensor]) {
    Team.split(a[0].count, grain: Kernels.grain) { range in
      let i = range.lowerBound
      Kernels.table.pointee.triad(a[0].pointer + i, a[1].pointer + i, a[2].pointer + i, 0.5, range.count)
    }
  }

  private static func entries(_ a: [Tensor]) -> [Entry] {
    let (rows, width) = (a[0].shape.leading, a[0].shape.lastAxis)
    let row = (0..<4).map { _ in Tensor(repeating: 0.5, [width]) }
    let mean = Tensor(zeros: [rows])
    let rstd = Tensor(repeating: 1, [rows])
    return [
      Entry(name: "copy", arrays: 2) { a[0].assign(a[1]) },
      Entry(name: "add", arrays: 3) { Kernels.add(a[1], a[2], into: a[0]) },
      Entry(name: "layernorm", arrays: 4) {
        Kernels.layerNorm(
          a[1], branch: a[2], branchBias: row[0], weight: row[1], bias: row[2], eps: 1e-6, sum: a[3], into: a[0],
          mean: mean, rstd: rstd)
      },
      Entry(name: "layernorm_again", arrays: 2) {
        Kernels.layerNormAgain(a[1], mean: mean, rstd: rstd, weight: row[0], bias: row[1], into: a[0])
      },
      Entry(name: "layernorm_backward", arrays: 4) {
        Kernels.layerNormBackward(
          a[1], dsum: a[2], sum: a[3], mean: mean, rstd: rstd, weight: row[0], into: a[0], weightGradient: row[1],
          biasGradient: row[2], branchBiasGradient: row[3])
      },
      Entry(name: "gelu", arrays: 2) {
        Team.split(rows) { range in Kernels.gelu(a[1], into: a[0], rows: range) }
      },
      Entry(name: "gelu_backward", arrays: 4) {
        Kernels.geluBackward(overwriting: a[1], a[0], biasGradient: row[0])
      },
      Entry(name: "softmax", arrays: 2) { Kernels.softmax(a[0]) },
      Entry(name: "column_sum", arrays: 1) { Kernels.addColumnSums(of: a[1], to: row[0]) },
      Entry(name: "sum_of_squares", arrays: 1) { _ = Kernels.sumOfSquares(a[1].pointer, count: a[1].count) },
      Entry(name: "adamw", arrays: 7) {
        Kernels.adamW(
          weights: a[0].pointer, gradients: a[1].pointer, m: a[2].pointer, v: a[3].pointer, count: a[0].count, lr: 0,
          beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0, biasCorrection1: 1, biasCorrection2: 1,
          gradientScale: 1)
      },
    ]
  }
}
