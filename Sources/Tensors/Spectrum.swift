import COpenBLAS

/// Eigenvalues and eigenvectors of symmetric matrices, computed in double on one thread.
public enum Spectrum {
  /// The eigenvalues of a symmetric matrix, ascending.
  ///
  /// - Shapes: matrix [D, D] -> D values
  public static func symmetricEigenvalues(_ matrix: Tensor) -> [Double] {
    precondition(matrix.shape.rank == 2, "symmetricEigenvalues: a matrix of shape \(matrix.shape)")
    return symmetricEigenvalues(matrix.array.map(Double.init), side: matrix.shape[0])
  }

  /// The eigenvalues of a symmetric matrix, ascending.
  ///
  /// - Shapes: matrix [side, side], flat -> side values
  public static func symmetricEigenvalues(_ matrix: [Double], side: Int) -> [Double] {
    precondition(matrix.count == side * side, "symmetricEigenvalues: \(matrix.count) values, side \(side)")
    guard side > 0 else { return [] }
    Matmul.keepLibraryOnOneThread()
    var values = matrix
    var eigenvalues = [Double](repeating: 0, count: side)
    var order = blasint(side)
    var workCount = blasint(64 * side)
    var work = [Double](repeating: 0, count: 64 * side)
    var status = blasint(0)
    var leading = order
    dsyev_("N", "U", &order, &values, &leading, &eigenvalues, &work, &workCount, &status, 1, 1)
    precondition(status == 0, "symmetricEigenvalues: LAPACK dsyev reports \(status)")
    return eigenvalues
  }

  /// The sum of xᵀx over some rows x, less `mean` if it is given, in double: small eigenvalues would drown in the
  /// rounding of single precision.
  ///
  /// - Shapes: rows [n, D], mean [D] -> [D, D], flat
  public static func gram(_ rows: Tensor, less mean: [Double]? = nil) -> [Double] {
    let width = rows.shape.lastAxis
    precondition(rows.shape.rank == 2 && mean?.count ?? width == width, "gram: rows \(rows.shape)")
    Matmul.keepLibraryOnOneThread()
    var sum = [Double](repeating: 0, count: width * width)
    var tile = [Double](repeating: 0, count: min(gramRows, rows.shape[0]) * width)
    for start in stride(from: 0, to: rows.shape[0], by: gramRows) {
      let (count, source) = (min(gramRows, rows.shape[0] - start), rows.pointer + start * width)
      for row in 0..<count {
        for d in 0..<width { tile[row * width + d] = Double(source[row * width + d]) - (mean?[d] ?? 0) }
      }
      openblas_add_gram(count, width, tile, &sum)
    }
    for row in 0..<width { for column in 0..<row { sum[row * width + column] = sum[column * width + row] } }
    return sum
  }

  private static let gramRows = 512

  /// The eigenvalues of a symmetric matrix, ascending, and unit eigenvectors in the same order.
  ///
  /// - Shapes: matrix [side, side], flat -> values [side], vectors [side, side], flat, one a row
  public static func symmetricEigenvectors(
    _ matrix: [Double], side: Int
  ) -> (values: [Double], vectors: [Double]) {
    precondition(matrix.count == side * side, "symmetricEigenvectors: \(matrix.count) values, side \(side)")
    guard side > 0 else { return ([], []) }
    Matmul.keepLibraryOnOneThread()
    var vectors = matrix  // Columns for LAPACK are rows here.
    var eigenvalues = [Double](repeating: 0, count: side)
    var order = blasint(side)
    var leading = order
    var (workCount, integerCount) = (blasint(1 + 6 * side + 2 * side * side), blasint(3 + 5 * side))
    var work = [Double](repeating: 0, count: Int(workCount))
    var integers = [blasint](repeating: 0, count: Int(integerCount))
    var status = blasint(0)
    dsyevd_(
      "V", "U", &order, &vectors, &leading, &eigenvalues, &work, &workCount, &integers, &integerCount, &status, 1, 1)
    precondition(status == 0, "symmetricEigenvectors: LAPACK dsyevd reports \(status)")
    return (eigenvalues, vectors)
  }
}
