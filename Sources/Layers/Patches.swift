import Basics
import Tensors

// Shapes: B images, C channels, S side, P patch side, g = S / P, L = g * g patches.

/// The order of the numbers inside a flattened patch.
public enum PatchOrder: Sendable {
  /// (channel, row, column): the order of a convolution's weight; for the patch embedding.
  case channelRowColumn
  /// (row, column, channel), channel fastest: the order of MAE's targets and predictions.
  case rowColumnChannel
}

/// Cuts square images into flattened patches.
///
/// - Shapes: images [B, C, S, S] -> [B, L, C*P*P], or [B, k, C*P*P] when `indices` [B * k] selects patches.
public func patchify(
  _ images: Tensor, patch: Int, order: PatchOrder, indices: [Int32]? = nil
) -> Tensor {
  let layout = PatchLayout(images.shape, patch: patch, order: order)
  let batch = images.shape[0]
  let kept = indices.map { $0.count / max(batch, 1) } ?? layout.count
  precondition(
    indices.map { $0.count == batch * kept } ?? true,
    "patchify: \(indices?.count ?? 0) indices for \(batch) images")
  let patches = Tensor(uninitialized: [batch, kept, layout.length])  // [B, k, C*P*P]
  OpClock.measure(.elementwise, work: 2 * patches.count) {
    Team.split(batch) { range in
      for image in range {
        let source = images.pointer + image * layout.imageLength
        for place in 0..<kept {
          let token = indices.map { Int($0[image * kept + place]) } ?? place
          layout.read(source + layout.origin(token), into: patches.pointer + (image * kept + place) * layout.length)
        }
      }
    }
  }
  return patches
}

/// Puts the patches of whole images back: the inverse of `patchify`.
///
/// - Shapes: patches [B, L, C*P*P] -> [B, C, S, S].
public func unpatchify(_ patches: Tensor, channels: Int, side: Int, patch: Int, order: PatchOrder) -> Tensor {
  let batch = patches.shape[0]
  let images = Tensor(uninitialized: [batch, channels, side, side])
  let layout = PatchLayout(images.shape, patch: patch, order: order)
  precondition(
    patches.shape == [batch, layout.count, layout.length],
    "unpatchify: patches \(patches.shape) for images \(images.shape)")
  Team.split(batch) { range in
    for image in range {
      let target = images.pointer + image * layout.imageLength
      for token in 0..<layout.count {
        layout.write(
          patches.pointer + (image * layout.count + token) * layout.length, to: target + layout.origin(token))
      }
    }
  }
  return images
}

/// MAE's targets: every patch with mean 0 and unbiased variance 1, (p - mean) / sqrt(var + 1e-6).
///
/// - Shapes: images [B, C, S, S], normalised as the network sees them -> [B, L, P*P*C], channel fastest, or
///   [B, k, P*P*C] when `indices` [B * k] selects patches.
/// - Source: He et al., 2022, reference code `forward_loss`; spec mae-ct 2.3.
public func normalizedPatchTargets(_ images: Tensor, patch: Int, indices: [Int32]? = nil) -> Tensor {
  let targets = patchify(images, patch: patch, order: .rowColumnChannel, indices: indices)  // [B, k, P*P*C]
  OpClock.measure(.normalisation, work: 2 * targets.count) {
    Kernels.normalizeRows(targets, eps: 1e-6, into: targets)
  }
  return targets
}

/// What `normalizedPatchTargets` subtracts from a patch and divides it by.
public struct PatchStatistics: Sendable {
  /// The mean of the patch.
  public let mean: Double
  /// sqrt(unbiased variance + 1e-6).
  public let deviation: Double

  /// The statistics of `count` values.
  public init(_ values: UnsafePointer<Float>, count: Int) {
    var sum = 0.0
    for i in 0..<count { sum += Double(values[i]) }
    let mean = sum / Double(count)
    var squares = 0.0
    for i in 0..<count { squares += (Double(values[i]) - mean) * (Double(values[i]) - mean) }
    self.mean = mean
    deviation = (squares / Double(count - 1) + 1e-6).squareRoot()
  }
}

/// Where the numbers of a patch lie in an image.
private struct PatchLayout: Sendable {
  let channels: Int
  let side: Int
  let patch: Int
  let order: PatchOrder
  var grid: Int { side / patch }
  var count: Int { grid * grid }
  var length: Int { channels * patch * patch }
  var imageLength: Int { channels * side * side }

  init(_ images: Shape, patch: Int, order: PatchOrder) {
    precondition(
      images.rank == 4 && images[2] == images[3] && images[2] % patch == 0,
      "patches of side \(patch) from images \(images)")
    (channels, side, self.patch, self.order) = (images[1], images[2], patch, order)
  }

  /// The first pixel of a patch, counted from the first pixel of the image.
  func origin(_ token: Int) -> Int {
    precondition((0..<count).contains(token), "patch \(token) of \(count)")
    return token / grid * patch * side + token % grid * patch
  }

  func read(_ image: UnsafePointer<Float>, into values: UnsafeMutablePointer<Float>) {
    switch order {
    case .channelRowColumn:
      for channel in 0..<channels {
        for row in 0..<patch {
          (values + (channel * patch + row) * patch).update(
            from: image + (channel * side + row) * side, count: patch)
        }
      }
    case .rowColumnChannel:
      for channel in 0..<channels {
        for row in 0..<patch {
          let line = image + (channel * side + row) * side
          let target = values + row * patch * channels + channel
          for column in 0..<patch { target[column * channels] = line[column] }
        }
      }
    }
  }

  func write(_ values: UnsafePointer<Float>, to image: UnsafeMutablePointer<Float>) {
    for channel in 0..<channels {
      for row in 0..<patch {
        let line = image + (channel * side + row) * side
        switch order {
        case .channelRowColumn: line.update(from: values + (channel * patch + row) * patch, count: patch)
        case .rowColumnChannel:
          for column in 0..<patch { line[column] = values[(row * patch + column) * channels + channel] }
        }
      }
    }
  }
}
