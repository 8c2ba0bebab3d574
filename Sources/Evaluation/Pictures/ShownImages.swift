import Images
import Methods
import Tensors

/// Some images as the encoder sees them, and as people do.
struct ShownImages {
  /// Their numbers in the source.
  let indices: [Int]
  /// Their classes, -1 for none.
  let labels: [Int32]
  let classNames: [String]
  /// [n, 3, S, S]
  let tensor: Tensor
  /// [n], each S x S.
  let pixels: [Pixels]
  /// What is seen in every pixel, when that is known.
  let masks: [LabelMask]?

  /// - Shapes: tensor [n, 3, S, S].
  init(
    _ tensor: Tensor, indices: [Int], labels: [Int32], classNames: [String], masks: [LabelMask]?, mean: [Float],
    std: [Float]
  ) {
    self.tensor = tensor
    self.indices = indices
    self.labels = labels
    self.classNames = classNames
    self.masks = masks
    pixels = indices.indices.map { Pixels(tensor, at: $0, mean: mean, std: std) }
  }

  var count: Int { indices.count }
  /// Pixels along a side.
  var side: Int { tensor.shape[3] }

  /// What a row of a sheet says about an image.
  func label(_ place: Int) -> String { "image \(indices[place]) \(className(labels[place]))" }

  /// The name of a class; nothing for an image without one.
  func className(_ label: Int32) -> String {
    guard label >= 0 else { return "" }
    return classNames.indices.contains(Int(label)) ? classNames[Int(label)] : "class \(label)"
  }
}

extension Pixels {
  /// One of a batch of network inputs, the normalisation undone.
  ///
  /// - Shapes: images [n, 3, S, S].
  init(_ images: Tensor, at place: Int, mean: [Float], std: [Float]) {
    let shape = images.shape
    let image = images.rows(place..<place + 1).reshaped([shape[1], shape[2], shape[3]])
    let picture = Picture(image, caption: "", mean: mean.map(Double.init), std: std.map(Double.init))
    self.init(width: picture.width, height: picture.height, bytes: picture.bytes)
  }

  /// The picture, enlarged for people, with everything outside some pixels faded and a line around them.
  ///
  /// - Shapes: chosen [height, width].
  func spotlit(_ chosen: [Bool]) -> Pixels {
    var faded = self
    for pixel in chosen.indices where !chosen[pixel] {
      for channel in 0..<3 { faded.bytes[3 * pixel + channel] = UInt8(208 + Int(bytes[3 * pixel + channel]) / 8) }
    }
    let zoom = enlargement
    var canvas = Canvas(width: width * zoom, height: height * zoom)
    canvas.place(faded, x: 0, y: 0, zoom: zoom)
    for y in 0..<height {
      for x in 0..<width {
        let own = chosen[y * width + x]
        if x > 0, chosen[y * width + x - 1] != own {
          canvas.fill(x: x * zoom - 1, y: y * zoom - 1, width: 2, height: zoom + 2, .mark)
        }
        if y > 0, chosen[(y - 1) * width + x] != own {
          canvas.fill(x: x * zoom - 1, y: y * zoom - 1, width: zoom + 2, height: 2, .mark)
        }
      }
    }
    return canvas.pixels
  }

  /// The whole factor at which a picture is shown.
  var enlargement: Int { max(1, (PictureSheet.standardSide + width - 1) / width) }

  /// The picture, enlarged for people, with a square framed.
  func marked(x: Int, y: Int, side: Int) -> Pixels {
    let zoom = enlargement
    var canvas = Canvas(width: width * zoom, height: height * zoom)
    canvas.place(self, x: 0, y: 0, zoom: zoom)
    canvas.frame(
      x: x * zoom, y: y * zoom, width: side * zoom, height: side * zoom, thickness: max(2, width * zoom / 80), .mark)
    return canvas.pixels
  }
}
