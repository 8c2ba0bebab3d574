import Basics
import CJPEG

/// PNG files in memory, for pictures and masks.
public enum PNG {
  /// Encodes RGB without loss.
  public static func encode(_ picture: Pixels) -> [UInt8] {
    encode(picture.bytes, width: picture.width, height: picture.height, channels: 3)
  }

  /// Encodes one 8-bit channel without loss, for example a mask of labels.
  public static func encode(_ picture: GreyPixels) -> [UInt8] {
    encode(picture.bytes, width: picture.width, height: picture.height, channels: 1)
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
