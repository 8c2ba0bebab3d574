import Basics
import Layers
import Tensors

// Shapes: C class tokens, g side of the file's grid, G side of the model's, D width.

/// What an imported position table means for our networks, in which class tokens have no position.
struct ImportedPositions {
  /// What belongs to the class tokens, which take it in: [C, D]; nil when the file gives them none.
  let classRows: Tensor?
  /// The positions of the patches on the model's grid: [G * G, D].
  let table: Tensor
  /// The side of the file's grid.
  let grid: Int
  /// Whether the table is the sine-cosine one, so that nothing needs to be stored.
  let isSinCos: Bool

  /// A difference from the sine-cosine table up to this is rounding: programs compute it in different precision.
  static let tolerance: Float = 1e-6

  /// Splits a table [1, C + g * g, D] or [1, g * g, D]; nil when it is neither.
  ///
  /// - Parameter grid: the side of the model's grid; the file's own when nil.
  init?(_ whole: Tensor, classTokens: Int, grid: Int? = nil) {
    guard whole.shape.rank == 3, whole.shape[0] == 1 else { return nil }
    let (rows, width) = (whole.shape[1], whole.shape[2])
    let side = { (count: Int) -> Int? in
      let root = Int(Double(max(count, 0)).squareRoot().rounded())
      return root > 0 && root * root == count ? root : nil
    }
    guard width % 4 == 0, let found = side(rows - classTokens) ?? side(rows) else { return nil }
    let own = rows - found * found
    let flat = whole.reshaped([rows, width])
    classRows = own > 0 ? flat.rows(0..<own) : nil
    self.grid = found
    table = resampledPositions(flat.rows(own..<rows), from: found, to: grid ?? found)
    let expected = sinCosPositions(width: width, grid: grid ?? found)
    isSinCos = zip(table.array, expected.array).allSatisfy { abs($0 - $1) <= Self.tolerance }
  }

  /// Whether class tokens have a position that is not 0.
  var movesClassTokens: Bool { classRows.map { $0.array.contains { $0 != 0 } } ?? false }

  /// A class token with its position added; a position of zeros leaves every bit as it is.
  func added(to token: Tensor, number: Int) -> Tensor {
    guard let row = classRows?.rows(number..<number + 1), row.array.contains(where: { $0 != 0 }) else { return token }
    return Tensor(zip(token.array, row.array).map { $0 + $1 }, token.shape)
  }
}
