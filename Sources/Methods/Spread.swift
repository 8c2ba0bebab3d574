import Glibc
import Tensors

/// How a batch of unit vectors lies on the sphere.
///
/// - Source: Wang and Isola, ICML 2020.
enum Spread {
  /// The vectors that uniformity looks at: the first of the global batch, the same on every rank.
  private static let looked = 256

  /// - Shapes: own two views of this rank's [b, d]; all [B, d].
  static func observations(own: [Tensor], all: Tensor) -> [Observation] {
    let images = own[0].shape.leading
    return [
      Observation("alignment", sum: Double(images) * alignment(own[0], own[1]), count: images),
      Observation("uniformity", [uniformity(all)]),
    ]
  }

  /// The mean squared distance of the two views of an image: 0 when they agree, 2 when they have nothing in common.
  ///
  /// - Shapes: [b, d] twice.
  static func alignment(_ a: Tensor, _ b: Tensor) -> Double {
    let similarity = Kernels.dot(a.pointer, b.pointer, count: a.count) / Double(max(a.shape.leading, 1))
    return 2 - 2 * similarity
  }

  /// The logarithm of the mean of exp(-2 distance²) over pairs: 0 when all are equal, about -4 when spread evenly.
  ///
  /// - Shapes: [B, d].
  static func uniformity(_ vectors: Tensor) -> Double {
    let rows = vectors.rows(0..<min(vectors.shape.leading, looked))
    let count = rows.shape.leading
    guard count > 1 else { return 0 }
    let similarities = Tensor(uninitialized: [count, count])
    Matmul.forward(rows, rows, into: similarities)
    var sum = 0.0
    for i in 0..<count {
      for j in 0..<i { sum += exp(-2 * (2 - 2 * Double(similarities.pointer[i * count + j]))) }
    }
    return log(sum / Double(count * (count - 1) / 2))
  }
}
