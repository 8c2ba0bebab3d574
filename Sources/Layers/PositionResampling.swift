import Tensors

// Shapes: g side of the grid that the table is for, G side of the other grid, D width.

/// A position table for a grid of another side: bicubic, a = -0.75, half-pixel centres, no antialiasing.
///
/// Rows of class tokens are no part of the table: they are copied by whoever has any.
///
/// - Shapes: table [g * g, D], row-major over the grid -> [G * G, D]
/// - Parameters:
///   - from: the side g of the grid that the table is for.
///   - to: the side G of the other grid; the table itself comes back when it is the same.
/// - Source: spec/evaluation.md 1.2; `F.interpolate(mode="bicubic", align_corners=False, antialias=False)` of PyTorch.
public func resampledPositions(_ table: Tensor, from: Int, to: Int) -> Tensor {
  precondition(
    from > 0 && to > 0 && table.shape.rank == 2 && table.shape[0] == from * from,
    "resampledPositions: a table \(table.shape) for a grid of \(from), to a grid of \(to)")
  guard from != to else { return table }
  let width = table.shape[1]
  let axis = (0..<to).map { CubicTaps(at: $0, of: to, from: from) }
  let result = Tensor(uninitialized: [to * to, width])  // [G * G, D]
  var sum = [Double](repeating: 0, count: width)
  for (row, down) in axis.enumerated() {
    for (column, across) in axis.enumerated() {
      for i in sum.indices { sum[i] = 0 }
      for (y, weightY) in zip(down.places, down.weights) {
        for (x, weightX) in zip(across.places, across.weights) {
          let source = table.pointer + (y * from + x) * width
          for i in sum.indices { sum[i] += weightY * weightX * Double(source[i]) }
        }
      }
      let target = result.pointer + (row * to + column) * width
      for i in sum.indices { target[i] = Float(sum[i]) }
    }
  }
  return result
}

/// The four places of an axis that one place of the other grid is made of.
private struct CubicTaps {
  /// The same border place may stand there more than once.
  let places: [Int]
  let weights: [Double]

  init(at place: Int, of count: Int, from side: Int) {
    let centre = (Double(place) + 0.5) * Double(side) / Double(count) - 0.5
    let first = centre.rounded(.down)
    places = (-1...2).map { min(max(Int(first) + $0, 0), side - 1) }
    weights = (-1...2).map { CubicTaps.weight(abs(centre - first - Double($0))) }
  }

  /// Keys' cubic convolution kernel.
  private static func weight(_ distance: Double) -> Double {
    let (a, x) = (-0.75, distance)
    return switch x {
    case ..<1: ((a + 2) * x - (a + 3)) * x * x + 1
    case ..<2: ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    default: 0
    }
  }
}
