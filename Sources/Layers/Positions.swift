import Glibc
import Tensors

/// The fixed sine-cosine table of a square grid of patches, column first.
///
/// A patch at column x, row y gets [sin(x w), cos(x w), sin(y w), cos(y w)], w_i = 10000^(-4i/width). The
/// reference calls the first half "h" but feeds it the column. Computed in double, stored in single precision.
///
/// - Shapes: -> [grid * grid, width], row-major over the grid; `width` divisible by 4.
/// - Source: He et al., 2022, reference code `get_2d_sincos_pos_embed`; spec mae-ct section 1.
public func sinCosPositions(width: Int, grid: Int) -> Tensor {
  precondition(width % 4 == 0, "sinCosPositions: width \(width) is not divisible by 4")
  let quarter = width / 4
  let frequencies = (0..<quarter).map { pow(10000, -Double($0) / Double(quarter)) }
  let table = Tensor(uninitialized: [grid * grid, width])
  for row in 0..<grid {
    for column in 0..<grid {
      let line = table.pointer + (row * grid + column) * width
      for (i, frequency) in frequencies.enumerated() {
        line[i] = Float(sin(Double(column) * frequency))
        line[quarter + i] = Float(cos(Double(column) * frequency))
        line[2 * quarter + i] = Float(sin(Double(row) * frequency))
        line[3 * quarter + i] = Float(cos(Double(row) * frequency))
      }
    }
  }
  return table
}
