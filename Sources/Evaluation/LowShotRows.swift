import Basics
import Features
import Messaging
import Tensors

/// What is done to a row of features before logistic regression.
enum RowPreparation: String, CaseIterable {
  /// Subtract the mean of the row, then divide by its length: MSN, MOCA, MAE-CT.
  case centred = "centre-l2"
  /// Divide by its length: DINO, iBOT, UDI.
  case unit = "l2"
  /// Nothing.
  case none

  private static let shortest = 1e-12

  /// Writes a prepared row.
  ///
  /// - Shapes: row, target [width]
  func prepare(_ row: UnsafePointer<Float>, width: Int, into target: UnsafeMutablePointer<Double>) {
    for c in 0..<width { target[c] = Double(row[c]) }
    guard self != .none else { return }
    if self == .centred {
      var sum = 0.0
      for c in 0..<width { sum += target[c] }
      for c in 0..<width { target[c] -= sum / Double(width) }
    }
    var squares = 0.0
    for c in 0..<width { squares += target[c] * target[c] }
    let factor = 1 / max(squares.squareRoot(), RowPreparation.shortest)
    for c in 0..<width { target[c] *= factor }
  }

  /// Prepared rows.
  ///
  /// - Shapes: rows [R, D] -> [R, D]
  func prepared(_ rows: Tensor) -> DoubleMatrix {
    let (count, width) = (rows.shape.leading, rows.shape.lastAxis)
    let result = DoubleMatrix(zeros: count, width)
    Team.split(count) { range in
      for row in range { prepare(rows.pointer + row * width, width: width, into: result.pointer + row * width) }
    }
    return result
  }
}

extension RowPreparation {
  /// Prepared rows in single precision.
  ///
  /// - Shapes: rows [R, D] -> [R, D]
  func preparedTensor(_ rows: Tensor) -> Tensor {
    let prepared = prepared(rows)
    let result = Tensor(uninitialized: rows.shape)
    Team.split(rows.count, grain: rows.shape.lastAxis) { range in
      for i in range { result.pointer[i] = Float(prepared.pointer[i]) }
    }
    return result
  }
}

/// The prepared rows and labels of a subset, cut into tiles that are dealt whole to the ranks: how tiles are cut follows
/// from the number of rows alone, so what is computed for one has the same bits on any number of ranks.
struct LowShotRows {
  /// Some rows and their labels.
  struct Tile {
    /// Its place among the tiles of all ranks.
    let number: Int
    /// [n, D].
    let rows: DoubleMatrix
    /// [n].
    let labels: [Int32]
  }

  /// The tiles of this rank.
  let tiles: [Tile]
  /// Tiles of all ranks.
  let tileCount: Int
  /// Rows of all ranks.
  let count: Int
  /// Numbers of a row.
  let width: Int
  /// The largest number of all ranks, without its sign.
  let largest: Double
}

extension LowShotRows {
  /// Brings the rows of some images together.
  ///
  /// - Parameter images: numbers of images in the set, rising.
  /// - Collective: all ranks.
  init(_ images: [Int], of set: FeatureSet, _ preparation: RowPreparation, _ communicator: Communicator) throws(Failure)
  {
    (count, width) = (images.count, set.width)
    // Enough tiles to keep threads busy, enough rows in each that the products are long.
    let tileRows = min(max(images.count / 32, 32), 256)
    tileCount = (images.count + tileRows - 1) / tileRows
    let own = blockRange(count: tileCount, part: communicator.rank, of: communicator.size)
    var tiles: [Tile] = []
    var largest = 0.0
    for number in 0..<tileCount {
      let part = Array(images[number * tileRows..<min((number + 1) * tileRows, images.count)])
      let gathered = try set.gathered(part, communicator)  // [n, D]
      guard own.contains(number) else { continue }
      let rows = preparation.prepared(gathered)
      for i in 0..<rows.count { largest = max(largest, abs(rows.pointer[i])) }
      tiles.append(Tile(number: number, rows: rows, labels: part.map { set.labels[$0] }))
    }
    self.tiles = tiles
    self.largest = try communicator.allReduceMax([largest])[0]
  }
}
