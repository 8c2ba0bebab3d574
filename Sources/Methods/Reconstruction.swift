import Layers
import Pipeline
import Tensors

// Shapes: b images, L patches, k visible ones, d = 3 P^2.

/// Draws what a masked autoencoder saw and predicted.
package struct Reconstruction {
  /// How a prediction of normalised patches becomes pixels.
  package enum Scale {
    /// The prediction is made of pixels.
    case nothing
    /// The mean statistics of the visible patches of the image.
    case visiblePatches
    /// The statistics of the removed patch itself.
    case ownPatch
  }

  private let images: Tensor
  private let patches: Tensor
  private let mask: Mask
  private let patch: Int
  private let view: ViewSpec

  /// - Shapes: images [b, 3, S, S], normalised as the network sees them.
  package init(_ images: Tensor, mask: Mask, patch: Int, view: ViewSpec) {
    self.images = images
    self.mask = mask
    self.patch = patch
    self.view = view
    patches = patchify(images, patch: patch, order: .rowColumnChannel)  // [b, L, d]
  }

  /// The input with every removed patch at the mean colour.
  package func masked() -> Tensor {
    drawn { _, _, target in target.fill(0) }
  }

  /// The input with every removed patch replaced by its prediction.
  ///
  /// - Shapes: predicted [b, L, d] -> [b, 3, S, S].
  package func pasted(_ predicted: Tensor, scaledBy scale: Scale) -> Tensor {
    let visible = visibleStatistics()
    return drawn { image, row, target in
      let length = target.count
      let values = predicted.pointer + row * length
      var (mean, deviation) = (0.0, 1.0)
      switch scale {
      case .nothing: break
      case .visiblePatches: (mean, deviation) = visible[image]
      case .ownPatch:
        let own = PatchStatistics(patches.pointer + row * length, count: length)
        (mean, deviation) = (own.mean, own.deviation)
      }
      for i in 0..<length { target.pointer[i] = Float(Double(values[i]) * deviation + mean) }
    }
  }

  /// One image of a batch as a picture.
  func picture(_ images: Tensor, at place: Int, caption: String) -> Picture {
    let shape = images.shape
    return Picture(
      images.rows(place..<(place + 1)).reshaped([shape[1], shape[2], shape[3]]), caption: caption,
      mean: view.mean.map(Double.init), std: view.std.map(Double.init))
  }

  /// A copy of the images in which `fill` wrote every removed patch.
  private func drawn(_ fill: (_ image: Int, _ row: Int, _ target: Tensor) -> Void) -> Tensor {
    let result = patches.copy()  // [b, L, d]
    let length = patches.shape.lastAxis
    for row in 0..<patches.shape.leading where mask.removed[row] == 1 {
      let target = Tensor(storage: result.storage, offset: result.offset + row * length, shape: [length])
      fill(row / mask.tokens, row, target)
    }
    return unpatchify(
      result, channels: images.shape[1], side: images.shape[2], patch: patch, order: .rowColumnChannel)
  }

  /// The mean of mean and deviation over the visible patches of each image.
  private func visibleStatistics() -> [(mean: Double, deviation: Double)] {
    let length = patches.shape.lastAxis
    return (0..<mask.images).map { image in
      let rows = mask.visible[(image * mask.keep)..<((image + 1) * mask.keep)]
      let statistics = rows.map { token in
        PatchStatistics(patches.pointer + (image * mask.tokens + Int(token)) * length, count: length)
      }
      let count = Double(max(statistics.count, 1))
      return (
        statistics.reduce(0) { $0 + $1.mean } / count, statistics.reduce(0) { $0 + $1.deviation } / count
      )
    }
  }
}
