import Basics

/// How often something happens, or how long it lasts.
public enum Interval: Equatable, Sendable {
  /// Optimiser updates.
  case steps(Int)
  /// Passes over the data.
  case epochs(Double)
  /// Wall-clock time.
  case minutes(Double)
  /// Images seen by all ranks.
  case images(Int)
  /// A part of the run's updates.
  case percent(Double)
  /// Not at all.
  case never

  /// Reads `100 steps`, `1 epoch`, `30 min`, `65536 images` or `20%`; nil when `text` is none of them.
  public init?(_ text: String) {
    let parts = text.split(whereSeparator: \.isWhitespace).map(String.init)
    if parts.count == 1, text.hasSuffix("%"), let amount = number(String(parts[0].dropLast())), amount <= 100 {
      self = .percent(amount)
      return
    }
    guard parts.count == 2, let amount = number(parts[0]) else { return nil }
    switch parts[1] {
    case "step", "steps":
      guard let whole = Int(exactly: amount) else { return nil }
      self = .steps(whole)
    case "image", "images":
      guard let whole = Int(exactly: amount) else { return nil }
      self = .images(whole)
    case "epoch", "epochs": self = .epochs(amount)
    case "s", "second", "seconds": self = .minutes(amount / 60)
    case "min", "minute", "minutes": self = .minutes(amount)
    case "h", "hour", "hours": self = .minutes(amount * 60)
    case "%", "percent":
      guard amount <= 100 else { return nil }
      self = .percent(amount)
    default: return nil
    }
  }

  /// The interval in updates: at least 1 unless its amount is 0; nil when it is a time or never.
  ///
  /// A part of the run is rounded down, as spec mae-ct 4.4 asks for the warm-up, so it may be 0.
  public func steps(stepsPerEpoch: Int, totalSteps: Int, globalBatch: Int) -> Int? {
    switch self {
    case .steps(let count): return count
    case .epochs(let epochs):
      return epochs == 0 ? 0 : max(1, Int((epochs * Double(stepsPerEpoch)).rounded()))
    case .images(let images): return (images + globalBatch - 1) / globalBatch
    case .percent(let percent): return Int(percent * Double(totalSteps) / 100)
    case .minutes, .never: return nil
    }
  }

  /// The interval as a configuration file spells it.
  public var text: String {
    switch self {
    case .steps(let count): return count == 1 ? "1 step" : "\(count) steps"
    case .epochs(let epochs): return epochs == 1 ? "1 epoch" : "\(plain(epochs)) epochs"
    case .minutes(let minutes):
      // Seconds that are whole stay so: a third of a minute has no finite decimal form.
      let seconds = minutes * 60
      return minutes == minutes.rounded() || seconds != seconds.rounded()
        ? "\(plain(minutes)) min" : "\(plain(seconds)) s"
    case .images(let count): return count == 1 ? "1 image" : "\(count) images"
    case .percent(let percent): return "\(plain(percent))%"
    case .never: return "null"
    }
  }

  /// Whether the amount is 0: nothing for a length, no sense for a rhythm.
  var isZero: Bool {
    switch self {
    case .steps(let count), .images(let count): return count == 0
    case .epochs(let amount), .minutes(let amount), .percent(let amount): return amount == 0
    case .never: return false
    }
  }
}

/// A length of time in seconds: `90 s`, `10 min`, `2 h`, `1 d` or `H:M:S`; nil when `text` is none of them.
public func durationInSeconds(_ text: String) -> Double? {
  let clock = text.split(separator: ":", omittingEmptySubsequences: false)
  if clock.count == 3 {
    let numbers = clock.compactMap { Int($0) }
    guard numbers.count == 3, numbers.allSatisfy({ $0 >= 0 }), numbers[1] < 60, numbers[2] < 60 else { return nil }
    return Double(numbers[0] * 3600 + numbers[1] * 60 + numbers[2])
  }
  let parts = text.split(whereSeparator: \.isWhitespace).map(String.init)
  guard parts.count == 2, let amount = number(parts[0]) else { return nil }
  switch parts[1] {
  case "s", "second", "seconds": return amount
  case "min", "minute", "minutes": return amount * 60
  case "h", "hour", "hours": return amount * 3600
  case "d", "day", "days": return amount * 86_400
  default: return nil
  }
}

/// A finite number that is not negative.
private func number(_ text: String) -> Double? {
  guard let first = text.first, first.isNumber || first == ".", let value = Double(text), value.isFinite else {
    return nil
  }
  return value
}

/// A number without the `.0` of whole ones.
func plain(_ value: Double) -> String {
  Int(exactly: value).map(String.init) ?? decimal(value)
}

/// The shortest text that reads back as the same number, with a point even before an exponent: YAML readers of other
/// languages take `1e-05` for text.
func decimal(_ value: Double) -> String {
  let text = "\(value)"
  guard let exponent = text.firstIndex(of: "e"), !text[..<exponent].contains(".") else { return text }
  return text[..<exponent] + ".0" + text[exponent...]
}
