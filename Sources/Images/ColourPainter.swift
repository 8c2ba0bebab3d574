import CJPEG

/// Changes the colours of 4-byte pixels in place; keeps its buffers, so use one painter per thread.
final class ColourPainter {
  private let avx2: Int32
  private let front = ByteBuffer()
  private let back = ByteBuffer()
  private let sums = ByteBuffer()

  init(vectorised: Bool) { avx2 = vectorised ? cimage_has_avx2() : 0 }

  /// Applies the operations in their order.
  ///
  /// - Shapes: pixels [height, width, 4]; the fourth byte has no effect on the others.
  func apply(_ operations: [ColourOperation], to pixels: UnsafeMutablePointer<UInt8>, width: Int, height: Int) {
    let count = Int32(width * height)
    for operation in operations {
      switch operation {
      case .brightness(let factor): cimage_blend_grey(pixels, count, 0, Float(factor), avx2)
      case .contrast(let factor):
        let mean = Double(cimage_luma_sum(pixels, count, avx2)) / Double(count)
        cimage_blend_grey(pixels, count, UInt8(mean + 0.5), Float(factor), avx2)
      case .saturation(let factor): cimage_blend_luma(pixels, count, Float(factor), avx2)
      case .hue(let turn): cimage_turn_hue(pixels, count, UInt8(truncatingIfNeeded: Int(turn * 255)), avx2)
      case .grey: cimage_blend_luma(pixels, count, 0, avx2)
      case .solarise(let threshold): cimage_solarise(pixels, count, Int32(threshold), avx2)
      case .blur(let sigma): blur(pixels, width, height, BoxBlur(sigma: Float(sigma)))
      }
    }
  }

  /// Rows first, as the columns of the transposed picture, then columns; three passes each, 8 bits between.
  private func blur(_ pixels: UnsafeMutablePointer<UInt8>, _ width: Int, _ height: Int, _ box: BoxBlur) {
    front.reserve(4 * width * height)
    back.reserve(4 * width * height)
    sums.reserve(4 * max(width, height) * MemoryLayout<UInt32>.stride)
    let (a, b) = (front.pointer, back.pointer)
    cimage_transpose(pixels, Int32(width), Int32(height), a)
    average(a, height, width, box, into: b)
    average(b, height, width, box, into: a)
    average(a, height, width, box, into: b)
    cimage_transpose(b, Int32(height), Int32(width), a)
    average(a, width, height, box, into: b)
    average(b, width, height, box, into: a)
    average(a, width, height, box, into: pixels)
  }

  private func average(
    _ pixels: UnsafePointer<UInt8>, _ width: Int, _ height: Int, _ box: BoxBlur,
    into out: UnsafeMutablePointer<UInt8>
  ) {
    var table = box.table
    UnsafeMutableRawPointer(sums.pointer).withMemoryRebound(to: UInt32.self, capacity: 4 * width) { sums in
      cimage_box_blur(pixels, Int32(width), Int32(height), &table, sums, out, avx2)
    }
  }
}

/// The box whose three-fold average stands for a Gaussian.
///
/// - Source: Gwosdek et al., SSVM 2011, equations 7, 11 and 14, in the precision in which Pillow computes them.
struct BoxBlur {
  /// Half the length of the box without its middle, in pixels; the fraction counts at both ends.
  let radius: Float

  init(sigma: Float) {
    let variance = sigma * sigma / 3
    let length = Float((12 * Double(variance) + 1).squareRoot())
    let whole = Float(((Double(length) - 1) / 2).rounded(.down))
    let fraction = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance)
    radius = whole + fraction / (6 * (variance - (whole + 1) * (whole + 1)))
  }

  /// Weights in 24 fraction bits.
  var table: cimage_box {
    let reach = UInt32(radius)
    let whole = UInt32(Float(1 << 24) / (radius * 2 + 1))
    return cimage_box(radius: Int32(reach), whole: whole, part: ((1 << 24) - (reach * 2 + 1) * whole) / 2)
  }
}
