import Basics
import CJPEG

/// PNG files in memory, for pictures and masks.
public enum PNG {
  /// Encodes RGB without loss.
  public static func encode(_ picture: Pixels) -> [UInt8] {
    encode(picture.bytes, width: picture.width, height: picture.height, channels: 3)
  }

  /// Encodes one 8-bit channel without loss.
  public static func encode(_ picture: GreyPixels) -> [UInt8] {
    encode(picture.bytes, width: picture.width, height: picture.height, channels: 1)
  }

  /// Encodes a mask as one 8-bit channel without loss.
  public static func encode(_ mask: LabelMask) -> [UInt8] {
    encode(mask.classes, width: mask.width, height: mask.height, channels: 1)
  }

  /// Decodes a mask: a grey or palette PNG whose stored numbers are the classes.
  ///
  /// Grey of 1, 2 or 4 bits is not stretched, and the colours of a palette are not looked at.
  /// - Throws: `Failure` of code 65 when the file is truncated, damaged, no PNG, of several channels or of 16 bits.
  public static func decodeMask(_ bytes: [UInt8]) throws(Failure) -> LabelMask {
    let message = MessageBuffer()
    var header = cpng_header()
    guard cpng_read_header(bytes, bytes.count, &header, message.pointer) == CJPEG_OK else {
      throw .badPNG(message.text)
    }
    guard header.channels == 1, header.bits <= 8 else {
      throw Failure(
        .badData, "no mask: the PNG has \(header.channels) channels of \(header.bits) bits",
        hint: "a mask is a grey or palette PNG of at most 8 bits whose numbers are classes")
    }
    let (width, height) = (Int(header.width), Int(header.height))
    var classes = [UInt8](repeating: 0, count: width * height)
    guard cpng_decode(bytes, bytes.count, &classes, classes.count, message.pointer) == CJPEG_OK else {
      throw .badPNG(message.text)
    }
    return LabelMask(width: width, height: height, classes: classes)
  }

  private static func encode(_ bytes: [UInt8], width: Int, height: Int, channels: Int32) -> [UInt8] {
    let message = MessageBuffer()
    return [UInt8](unsafeUninitializedCapacity: cpng_bound(Int32(width), Int32(height), channels)) { buffer, count in
      count = buffer.count
      let result = cpng_encode(
        bytes, Int32(width), Int32(height), channels, buffer.baseAddress, &count, message.pointer)
      precondition(result == 0, "PNG.encode: \(width)x\(height): \(message.text)")
    }
  }
}

extension Failure {
  /// A file that is no complete PNG.
  fileprivate static func badPNG(_ words: String) -> Failure { Failure(.badData, "cannot decode PNG: \(words)") }
}
