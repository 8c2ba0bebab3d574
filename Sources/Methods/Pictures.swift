import Layers
import Tensors

/// One picture with a caption: RGB, interleaved, 8 bit.
public struct Picture: Equatable, Sendable {
  /// What is shown, in a few words.
  public let caption: String
  /// Pixels per line.
  public let width: Int
  /// Lines.
  public let height: Int
  /// 3 * width * height bytes.
  public let bytes: [UInt8]

  /// A picture of one network input: undoes the normalisation of each channel.
  ///
  /// - Shapes: image [3, S, S].
  public init(_ image: Tensor, caption: String, mean: [Double], std: [Double]) {
    let (height, width) = (image.shape[1], image.shape[2])
    let area = width * height
    var bytes = [UInt8](repeating: 0, count: 3 * area)
    for channel in 0..<3 {
      let source = image.pointer + (image.shape[0] == 3 ? channel : 0) * area
      for pixel in 0..<area {
        let value = 255 * (Double(source[pixel]) * std[channel] + mean[channel])
        bytes[3 * pixel + channel] = UInt8(min(max(value.isNaN ? 0 : value, 0), 255).rounded())
      }
    }
    self.caption = caption
    (self.width, self.height, self.bytes) = (width, height, bytes)
  }
}

/// The pictures of one image, side by side.
public struct PictureRow: Equatable, Sendable {
  /// The dataset index of the image.
  public let image: Int
  /// The pictures from left to right.
  public let pictures: [Picture]

  /// A row.
  public init(image: Int, pictures: [Picture]) {
    self.image = image
    self.pictures = pictures
  }
}
