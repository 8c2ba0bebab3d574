import Glibc

/// What a random number is for; a part of the key, so that streams never meet.
public enum Purpose: UInt32, Sendable {
  case initialisation = 1
  case permutation, crop, flip, colour, mask, dice, synthetic, replacement, dropPath, probe, queue, clustering
}

/// A counter-based random stream: the same key gives the same numbers on every rank, thread and machine.
///
/// - Source: Salmon et al., SC 2011, Philox4x32-10; vectors checked against the published known answers.
public struct RandomStream: RandomNumberGenerator, Sendable {
  private let key: (UInt32, UInt32)
  private var counter: (UInt32, UInt32, UInt32, UInt32)
  private var spare: UInt64?
  private var spareNormal: Double?

  /// A stream for one decision maker.
  ///
  /// - Parameters:
  ///   - seed: the run's seed; with `purpose` it makes the key.
  ///   - epoch, index, view: where in the run; they make the counter. `index` keeps its low 32 bits in the
  ///     counter, its high bits go into the key.
  public init(seed: UInt64, purpose: Purpose, epoch: Int = 0, index: Int = 0, view: Int = 0) {
    let high = UInt64(bitPattern: Int64(index)) >> 32
    let mixed = mix(mix(seed &+ UInt64(purpose.rawValue) &* 0x9E37_79B9_7F4A_7C15) ^ high)
    key = (UInt32(truncatingIfNeeded: mixed), UInt32(truncatingIfNeeded: mixed >> 32))
    counter = (
      0, UInt32(truncatingIfNeeded: view), UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: epoch)
    )
  }

  /// The next 64 random bits.
  public mutating func next() -> UInt64 {
    if let kept = spare {
      spare = nil
      return kept
    }
    let (a, b, c, d) = philox(counter, key)
    counter.0 &+= 1
    spare = UInt64(c) | UInt64(d) << 32
    return UInt64(a) | UInt64(b) << 32
  }

  /// A number in [0, 1) with 53 random bits.
  public mutating func uniform() -> Double {
    Double(next() >> 11) * 0x1p-53
  }

  /// A number in [lower, upper).
  public mutating func uniform(_ range: Range<Double>) -> Double {
    range.lowerBound + (range.upperBound - range.lowerBound) * uniform()
  }

  /// An integer in 0 ..< n, without bias.
  public mutating func integer(below n: Int) -> Int {
    precondition(n > 0, "RandomStream.integer(below:): needs n > 0, got \(n)")
    let bound = UInt64(n)
    var product = next().multipliedFullWidth(by: bound)
    if product.low < bound {
      let threshold = (0 &- bound) % bound
      while product.low < threshold { product = next().multipliedFullWidth(by: bound) }
    }
    return Int(product.high)
  }

  /// A standard normal number (Box-Muller).
  public mutating func normal() -> Double {
    if let kept = spareNormal {
      spareNormal = nil
      return kept
    }
    let radius = sqrt(-2 * log(1 - uniform()))
    let angle = 2 * Double.pi * uniform()
    spareNormal = radius * sin(angle)
    return radius * cos(angle)
  }

  /// A uniformly random order of 0 ..< n (Fisher-Yates).
  public mutating func permutation(_ n: Int) -> [Int32] {
    var order = (0..<n).map { Int32($0) }
    guard n > 1 else { return order }
    for i in stride(from: n - 1, to: 0, by: -1) { order.swapAt(i, integer(below: i + 1)) }
    return order
  }
}

/// Philox4x32 with ten rounds: one block of 128 random bits.
func philox(
  _ counter: (UInt32, UInt32, UInt32, UInt32), _ key: (UInt32, UInt32)
) -> (UInt32, UInt32, UInt32, UInt32) {
  var (x0, x1, x2, x3) = counter
  var (k0, k1) = key
  for round in 0..<10 {
    if round > 0 {
      k0 &+= 0x9E37_79B9
      k1 &+= 0xBB67_AE85
    }
    let first = x0.multipliedFullWidth(by: 0xD251_1F53)
    let second = x2.multipliedFullWidth(by: 0xCD9E_8D57)
    (x0, x1, x2, x3) = (second.high ^ x1 ^ k0, second.low, first.high ^ x3 ^ k1, first.low)
  }
  return (x0, x1, x2, x3)
}

/// The finaliser of SplitMix64: spreads a seed over all bits.
private func mix(_ value: UInt64) -> UInt64 {
  var z = value &+ 0x9E37_79B9_7F4A_7C15
  z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
  z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
  return z ^ (z >> 31)
}

/// FNV-1a over the UTF-8 bytes: a hash that is the same in every process, for keying streams by name.
public func stableHash(_ text: String) -> UInt64 {
  text.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
}
