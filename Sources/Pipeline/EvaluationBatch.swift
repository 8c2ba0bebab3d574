import Basics
import Images
import Tensors

/// Images as evaluation sees them: shorter side resized to round(size * 256 / 224), centre square, normalised.
///
/// Work is split over the thread team; call it from the main thread.
/// - Shapes: [indices.count, 3, size, size].
/// - Parameters:
///   - bad: is told of each image that cannot be read, whose row is then 0 (the mean colour). Without it, such an
///     image is an error.
/// - Throws: `Failure` of code 65 naming the image, when it cannot be read and `bad` is nil.
/// - Source: spec/evaluation.md 1.2 (evalT).
public func evaluationBatch(
  _ source: DataSource, indices: [Int], size: Int, mean: [Float] = imageNetMean, std: [Float] = imageNetStd,
  bad: ((BadImage) -> Void)? = nil
) throws(Failure) -> Tensor {
  let images = Tensor(uninitialized: [indices.count, 3, size, size])
  let pointer = images.pointer
  let plane = 3 * size * size
  var reasons = [String?](repeating: nil, count: indices.count)
  reasons.withUnsafeMutableBufferPointer { reasons in
    ThreadTeam.shared.deal(indices.count) { rows in
      let maker = ViewMaker()
      for row in rows {
        let target = ViewTarget(planes: pointer + row * plane, mean: mean, deviation: std)
        do throws(Failure) {
          let bytes = try source.bytes(indices[row])
          try maker.make(bytes, into: [target]) { [.evaluation(width: $0, height: $1, size: size)] }
        } catch {
          reasons[row] = error.what
          target.planes.update(repeating: 0, count: plane)
        }
      }
    }
  }
  for (row, reason) in reasons.enumerated() {
    guard let reason else { continue }
    let image = BadImage(index: indices[row], name: source.name(indices[row]), reason: reason)
    guard let bad else {
      throw Failure(.badData, "cannot evaluate image \(image.name): \(reason)", at: source.address)
    }
    bad(image)
  }
  return images
}
