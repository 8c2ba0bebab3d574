import Basics
import CJPEG

/// JPEG files in memory: baseline and progressive; grey, RGB, YCbCr, CMYK and YCCK; any size.
///
/// Orientation tags are not applied: the pixels come as they are stored.
public enum JPEG {
  /// The size that the header states.
  ///
  /// - Throws: `Failure` of code 65: not a JPEG, no end-of-image marker (truncated), or more than 89 million pixels.
  public static func size(of bytes: [UInt8]) throws(Failure) -> (width: Int, height: Int) {
    var width: Int32 = 0
    var height: Int32 = 0
    let message = MessageBuffer()
    let result = bytes.withUnsafeBufferPointer {
      cjpeg_read_size($0.baseAddress, $0.count, &width, &height, message.pointer)
    }
    guard result == 0 else { throw .badJPEG(message.text) }
    return (Int(width), Int(height))
  }

  /// Decodes a whole file to RGB, or a smaller version of it.
  ///
  /// - Parameters:
  ///   - eighths: 1 ... 8; each side becomes ceil(side * eighths / 8). The default 8 is full size.
  /// - Throws: `Failure` of code 65 when the file is truncated, damaged or no JPEG; never a partial picture.
  public static func decode(_ bytes: [UInt8], eighths: Int = 8) throws(Failure) -> Pixels {
    let full = try size(of: bytes)
    let width = scaledSide(full.width, eighths: eighths)
    let height = scaledSide(full.height, eighths: eighths)
    let box = CropBox(left: 0, top: 0, width: width, height: height)
    var out = [UInt8](repeating: 0, count: regionBytes(box, channels: 3))
    let place = try out.withUnsafeMutableBufferPointer { (buffer) throws(Failure) in
      try decodeRegion(bytes, box, eighths: eighths, channels: 3, into: buffer)
    }
    precondition(place.first == 0 && place.columns == width, "JPEG.decode: \(place) of \(width) columns")
    out.removeLast(out.count - 3 * width * height)
    return Pixels(width: width, height: height, bytes: out)
  }

  /// Encodes RGB.
  ///
  /// - Parameters:
  ///   - quality: 1 ... 100.
  ///   - fullColour: keep colour at full resolution (4:4:4); otherwise at half (4:2:0).
  public static func encode(_ picture: Pixels, quality: Int, fullColour: Bool = true) -> [UInt8] {
    encode(
      picture.bytes, width: picture.width, height: picture.height, channels: 3, quality: quality,
      fullColour: fullColour)
  }

  /// Encodes one grey channel.
  public static func encode(_ picture: GreyPixels, quality: Int) -> [UInt8] {
    encode(picture.bytes, width: picture.width, height: picture.height, channels: 1, quality: quality, fullColour: true)
  }

  private static func encode(
    _ bytes: [UInt8], width: Int, height: Int, channels: Int32, quality: Int, fullColour: Bool
  ) -> [UInt8] {
    var encoded: UnsafeMutablePointer<UInt8>?
    var count = 0
    let message = MessageBuffer()
    let result = cjpeg_encode(
      bytes, Int32(width), Int32(height), channels, Int32(quality), fullColour ? 1 : 0, &encoded, &count,
      message.pointer)
    precondition(result == 0, "JPEG.encode: \(width)x\(height) quality \(quality): \(message.text)")
    defer { cjpeg_free(encoded) }
    return Array(UnsafeBufferPointer(start: encoded, count: count))
  }

  /// A side of the image after scaled decoding.
  static func scaledSide(_ side: Int, eighths: Int) -> Int { (side * eighths + 7) / 8 }

  /// Bytes that `decodeRegion` needs for `box`.
  static func regionBytes(_ box: CropBox, channels: Int) -> Int { (box.width + 160) * (box.height + 1) * channels }

  /// Decodes the rows of `box` (in scaled coordinates) and at least its columns.
  ///
  /// - Returns: the first column that was decoded and how many columns a row has.
  static func decodeRegion(
    _ bytes: [UInt8], _ box: CropBox, eighths: Int, channels: Int, into out: UnsafeMutableBufferPointer<UInt8>
  ) throws(Failure) -> (first: Int, columns: Int) {
    var region = cjpeg_region(
      eighths: Int32(eighths), left: Int32(box.left), top: Int32(box.top), width: Int32(box.width),
      height: Int32(box.height), channels: Int32(channels))
    var first: Int32 = 0
    var columns: Int32 = 0
    let message = MessageBuffer()
    let result = bytes.withUnsafeBufferPointer {
      cjpeg_decode($0.baseAddress, $0.count, &region, out.baseAddress, out.count, &first, &columns, message.pointer)
    }
    precondition(result != CJPEG_BAD_REQUEST, "JPEG.decodeRegion: \(box) at \(eighths)/8: \(message.text)")
    guard result == CJPEG_OK else { throw .badJPEG(message.text) }
    return (Int(first), Int(columns))
  }
}

/// Where C functions leave their words.
final class MessageBuffer {
  let pointer = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CJPEG_MESSAGE_BYTES))

  init() { pointer.initialize(repeating: 0, count: Int(CJPEG_MESSAGE_BYTES)) }

  deinit { pointer.deallocate() }

  var text: String { String(cString: pointer) }
}

extension Failure {
  /// A file that is no complete JPEG.
  static func badJPEG(_ words: String) -> Failure { Failure(.badData, "cannot decode JPEG: \(words)") }
}
