import Basics
import Images

/// The masks of a data source: which class every pixel of an image belongs to.
public struct MaskSource: Sendable {
  /// Where the masks are: a folder, or the address of generated images.
  public let address: String
  private let data: DataSource
  private let folder: String?

  /// Masks from a folder: the mask of `CLASS/NAME.jpg` is the file `CLASS/NAME.png` in it, one channel, 255 = ignore.
  ///
  /// - Throws: `Failure` of code 66 when there is no such folder.
  public init(folder: String, of data: DataSource) throws(Failure) {
    guard fileKind(folder) == .directory else {
      throw Failure(
        .inputMissing, "the folder of masks does not exist", at: folder,
        hint: "--masks names a folder with one PNG for each image, under the image's name in its data")
    }
    self.init(address: folder, data: data, folder: folder)
  }

  /// Masks of one part of a dataset, from the folder of that name in `root`, or from `root` itself without one.
  ///
  /// - Throws: `Failure` of code 66 when there is no such folder.
  public init(root: String, _ split: Split, of data: DataSource) throws(Failure) {
    let part = "\(root)/\(split.rawValue)"
    try self.init(folder: fileKind(part) == .directory ? part : root, of: data)
  }

  /// The exact masks of generated images.
  ///
  /// - Throws: `Failure` of code 66 for images that are not generated.
  public init(of data: DataSource) throws(Failure) {
    guard data.shapes != nil else {
      throw Failure(
        .inputMissing, "the images have no masks", at: data.address,
        hint: "pass --masks DIR with one PNG for each image, under the image's name in its data")
    }
    self.init(address: data.address, data: data, folder: nil)
  }

  private init(address: String, data: DataSource, folder: String?) {
    self.address = address
    self.data = data
    self.folder = folder
  }

  /// Images that have a mask.
  public var count: Int { data.count }

  /// The mask of image `i`, as large as the image.
  ///
  /// - Throws: `Failure` of code 66 when the mask is missing, 65 when it is damaged or of another size than the image.
  public func mask(_ i: Int) throws(Failure) -> LabelMask {
    guard let folder else {
      guard let shapes = data.shapes else { preconditionFailure("MaskSource: \(address) holds nothing") }
      return shapes.mask(i)
    }
    let name = data.name(i)
    let path = "\(folder)/\(name.lastIndex(of: ".").map { name[..<$0] } ?? name[...]).png"
    guard fileKind(path) != .missing else {
      throw Failure(
        .inputMissing, "the image \(name) has no mask", at: path,
        hint: "masks stand under the names of the images in \(data.address), with .png")
    }
    let bytes = try readFile(path)
    let mask: LabelMask
    do throws(Failure) { mask = try PNG.decodeMask(bytes) } catch {
      throw Failure(error.code, error.what, at: path, hint: error.hint)
    }
    let image = try JPEG.size(of: try data.bytes(i))
    guard (mask.width, mask.height) == image else {
      throw Failure(
        .badData, "the mask is \(mask.width)x\(mask.height), its image \(image.width)x\(image.height)", at: path,
        hint: "a mask has one number for every pixel of its image")
    }
    return mask
  }
}

/// The mask of an image as evaluation sees the image: resized and cut alike, each pixel with the class under its middle.
///
/// - Shapes: [size, size].
/// - Throws: what `MaskSource.mask` throws.
/// - Source: spec/evaluation.md 1.2 (evalT).
public func evaluationMask(_ source: MaskSource, index: Int, size: Int) throws(Failure) -> LabelMask {
  let mask = try source.mask(index)
  return mask.seen(through: .evaluation(width: mask.width, height: mask.height, size: size))
}
