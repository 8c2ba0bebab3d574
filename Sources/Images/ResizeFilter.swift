import CJPEG
import Glibc

/// How a picture of another size comes about.
public enum Interpolation: String, CaseIterable, Sendable {
  /// Keys' cubic kernel with a = -0.5.
  case bicubic
  /// The triangle.
  case bilinear

  /// How far the kernel reaches, in pixels of the coarser of both pictures.
  var support: Double { self == .bicubic ? 2 : 1 }

  /// The kernel.
  func weight(_ x: Double) -> Double {
    let d = abs(x)
    switch self {
    case .bicubic:
      let a = -0.5
      if d < 1 { return ((a + 2) * d - (a + 3)) * d * d + 1 }
      if d < 2 { return (((d - 5) * d + 8) * d - 4) * a }
      return 0
    case .bilinear: return max(1 - d, 0)
    }
  }
}

/// Weights of one axis: the kernel, stretched by the down-scale factor, in fixed point.
///
/// The numbers are those of Pillow, so a resize gives Pillow's bytes.
/// - Source: Keys 1981 with a = -0.5; the fixed-point rule (22 fraction bits, rounding half away from zero) of
///   Pillow's 8-bit resampling.
final class ResizeFilter: @unchecked Sendable {
  /// Output pixels.
  let outputs: Int
  /// The input pixels that the outputs read.
  let inputs: Range<Int>
  /// Taps of each output, a multiple of 4; at most 3 of them lie beyond the input.
  let taps: Int
  private let starts: UnsafeMutablePointer<Int32>
  private let high: UnsafeMutablePointer<Int16>  // [outputs, taps]
  private let low: UnsafeMutablePointer<Int16>  // [outputs, taps]

  /// The filter that maps the interval `from ..< from + length` of `limit` input pixels to `size` pixels, of which
  /// only `window` are made.
  init(
    _ interpolation: Interpolation, from: Double, length: Double, limit: Int, size: Int, window: Range<Int>
  ) {
    let scale = length / Double(size)
    let stretch = max(scale, 1)
    let support = interpolation.support * stretch
    let taps = (min(Int(support.rounded(.up)) * 2 + 1, limit) + 3) / 4 * 4
    outputs = window.count
    self.taps = taps
    starts = .allocate(capacity: outputs)
    high = .allocate(capacity: outputs * taps)
    low = .allocate(capacity: outputs * taps)
    high.initialize(repeating: 0, count: outputs * taps)
    low.initialize(repeating: 0, count: outputs * taps)
    var first = limit
    var last = 0
    for (o, position) in window.enumerated() {
      let centre = from + (Double(position) + 0.5) * scale
      let start = max(Int(centre - support + 0.5), 0)
      let end = min(Int(centre + support + 0.5), limit)
      let weights = (start..<end).map { interpolation.weight((Double($0) - centre + 0.5) * (1 / stretch)) }
      let sum = weights.reduce(0, +)
      // Near the end, taps without weight go in front, so that reading them stays within the row.
      let front = min(start, max(0, limit - taps))
      for (t, weight) in weights.enumerated() {
        let fixed = Int32((weight / sum * Double(1 << 22)).rounded(.toNearestOrAwayFromZero))
        high[o * taps + start - front + t] = Int16(fixed >> 8)
        low[o * taps + start - front + t] = Int16(fixed & 255)
      }
      starts[o] = Int32(front)
      first = min(first, start)
      last = max(last, end)
    }
    inputs = first..<last
  }

  deinit {
    starts.deallocate()
    high.deallocate()
    low.deallocate()
  }

  /// The weights as C sees them; valid while the filter lives.
  var table: cimage_filter {
    cimage_filter(starts: starts, high: high, low: low, outputs: Int32(outputs), taps: Int32(taps))
  }
}
