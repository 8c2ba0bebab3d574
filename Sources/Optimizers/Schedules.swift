import Glibc

/// Linear warm-up, then half a cosine, per update; a function of the update's index alone.
///
/// t < W: peak (t + 1) / (W + 1). Then floor + (peak - floor) (1 + cos(pi (t - W) / (T - W))) / 2. The peak is reached
/// once, at t = W; the floor is never quite reached.
///
/// - Source: MAE-CT; spec mae-ct 4.4.
public struct WarmupCosine: Equatable, Sendable {
  /// The highest value.
  public let peak: Double
  /// Updates of warm-up (W).
  public let warmup: Int
  /// All updates (T).
  public let total: Int
  /// What the cosine falls towards.
  public let floor: Double

  /// A schedule of `total` updates, `warmup` of which rise.
  public init(peak: Double, warmup: Int, total: Int, floor: Double = 0) {
    precondition(total >= 1 && warmup >= 0, "WarmupCosine: warm-up \(warmup) of \(total) updates")
    self.peak = peak
    self.warmup = warmup
    self.total = total
    self.floor = floor
  }

  /// The value for update `t`, counted from 0; constant after the end.
  public func value(at t: Int) -> Double {
    if t < warmup { return peak * Double(t + 1) / Double(warmup + 1) }
    let fraction = Double(min(t, total) - warmup) / Double(max(total - warmup, 1))
    return floor + (peak - floor) * 0.5 * (1 + cos(.pi * min(max(fraction, 0), 1)))
  }
}

/// The peak learning rate: base * globalBatch * views / 256.
///
/// - Source: Goyal et al., 2017; both references of spec mae-ct 2.5 count every view.
public func linearScaledRate(base: Double, globalBatch: Int, views: Int) -> Double {
  base * Double(globalBatch) * Double(views) / 256
}
