/// Looks along a direction for a step with the strong Wolfe conditions: ask for `next`, evaluate there, `take` the result.
///
/// First steps grow until they hold such a step between them, then the interval shrinks around it.
/// - Source: Nocedal and Wright, algorithms 3.5 and 3.6, interpolation (3.59).
struct LineSearch {
  /// The step to evaluate; nil when the search is over.
  private(set) var next: Double?

  private let value: Double, slope: Double
  private let decrease: Double, curvature: Double
  /// What rounding may add to a value.
  private let rounding: Double
  private var trials = 0
  /// While steps grow, the last one; then the end of the interval with the lower value.
  private var low: Trial
  /// The other end; nil while steps grow.
  private var high: Trial?

  private struct Trial {
    var step: Double
    var value: Double
    var slope: Double
  }

  /// How much a growing step may grow.
  private static let growth = 2.0...10.0
  private static let most = 40
  /// How near to an end an interpolated step may come, as a share of the interval.
  private static let margin = 0.1

  /// A search from a place with this value and slope; `next` is the first step.
  init(value: Double, slope: Double, decrease: Double, curvature: Double, next: Double) {
    (self.value, self.slope, self.decrease, self.curvature) = (value, slope, decrease, curvature)
    rounding = 8 * abs(value).ulp
    low = Trial(step: 0, value: value, slope: slope)
    self.next = slope < 0 && next.isFinite ? next : nil
  }

  /// Takes what was found at `next`; true when that step is the result.
  mutating func take(value found: Double, slope foundSlope: Double) -> Bool {
    guard let step = next else { return false }
    trials += 1
    let trial = Trial(step: step, value: found, slope: foundSlope)
    let isHigh =
      !(found <= value + decrease * step * slope + rounding) || (low.step > 0 && found > low.value + rounding)
    if !isHigh, abs(foundSlope) <= curvature * abs(slope) {
      next = nil
      return true
    }
    if high == nil {
      grow(trial, isHigh: isHigh)
    } else {
      shrink(trial, isHigh: isHigh)
    }
    if trials >= LineSearch.most || next.map({ $0 == low.step || $0 == high?.step }) ?? false { next = nil }
    return false
  }

  private mutating func grow(_ trial: Trial, isHigh: Bool) {
    if isHigh {
      high = trial
      next = interpolated()
    } else if trial.slope >= 0 {
      (low, high) = (trial, low)
      next = interpolated()
    } else {
      // Where the slope would be 0 if it went on as between the last two steps.
      let ahead = (trial.step - low.step) * trial.slope / (low.slope - trial.slope)
      let factor = 1 + ahead / trial.step
      let limits = LineSearch.growth
      next = trial.step * (factor > limits.lowerBound ? min(factor, limits.upperBound) : limits.lowerBound)
      low = trial
    }
  }

  private mutating func shrink(_ trial: Trial, isHigh: Bool) {
    if isHigh {
      high = trial
    } else {
      if let end = high, trial.slope * (end.step - low.step) >= 0 { high = low }
      low = trial
    }
    next = interpolated()
  }

  /// The minimum of the cubic through both ends, or the middle where there is none well inside.
  private func interpolated() -> Double {
    guard let high else { return low.step }
    let middle = (low.step + high.step) / 2
    let width = high.step - low.step
    let d1 = low.slope + high.slope - 3 * (low.value - high.value) / (low.step - high.step)
    let root = (d1 * d1 - low.slope * high.slope).squareRoot()
    let d2 = width > 0 ? root : -root
    let step = high.step - width * (high.slope + d2 - d1) / (high.slope - low.slope + 2 * d2)
    let share = (step - low.step) / width
    return share > LineSearch.margin && share < 1 - LineSearch.margin ? step : middle
  }
}
