import COpenBLAS

/// Eigenvalues, for monitors.
public enum Spectrum {
  /// The eigenvalues of a symmetric matrix, ascending, computed in double.
  ///
  /// - Shapes: matrix [D, D] -> D values
  public static func symmetricEigenvalues(_ matrix: Tensor) -> [Double] {
    let side = matrix.shape[0]
    precondition(matrix.shape == [side, side], "symmetricEigenvalues: a matrix of shape \(matrix.shape)")
    guard side > 0 else { return [] }
    var values = matrix.array.map(Double.init)
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
}
