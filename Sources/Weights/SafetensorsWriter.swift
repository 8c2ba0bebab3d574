import Basics
import Glibc
import Storage
import Tensors

/// Writes safetensors files in single precision.
enum SafetensorsWriter {
  /// Writes a file through a `.partial` one; a file that is there is replaced when the new one is whole.
  ///
  /// - Parameters:
  ///   - tensors: in the order of their bytes; names are unique.
  ///   - metadata: texts that belong to no tensor.
  /// - Throws: code 73, 74 or 77; the old file is then untouched and nothing of the new one is left.
  /// - Collective: local.
  static func write(
    _ tensors: [(name: String, value: Tensor)], metadata: [(String, String)], to path: String
  ) throws(Failure) {
    let partial = path + ".partial"
    do throws(Failure) {
      let file = try ByteFile.create(partial)
      let header = header(tensors, metadata)
      try file.write(header, at: 0)
      var place = header.count
      for tensor in tensors {
        let bytes = UnsafeRawBufferPointer(start: tensor.value.pointer, count: 4 * tensor.value.count)
        try file.write(bytes, at: place)
        place += bytes.count
      }
      try file.sync()
      guard rename(partial, path) == 0 else { throw Failure.system("rename", path: path, errno: errno) }
      try AtomicFile.syncDirectory(of: path)
    } catch {
      unlink(partial)
      throw error
    }
  }

  /// The length and the header, padded with blanks so that the numbers begin at a multiple of 8.
  private static func header(_ tensors: [(name: String, value: Tensor)], _ metadata: [(String, String)]) -> [UInt8] {
    var end = 0
    let entries = tensors.map { name, value -> (String, JSON) in
      let start = end
      end += 4 * value.count
      return (
        name,
        .object([
          ("dtype", .string("F32")), ("shape", .array(value.shape.dims.map { .int($0) })),
          ("data_offsets", .array([.int(start), .int(end)])),
        ])
      )
    }
    let texts = JSON.object(metadata.map { ($0.0, .string($0.1)) })
    var bytes = Array(JSON.object([(Safetensors.metadataKey, texts)] + entries).line.utf8)
    while bytes.count % 8 != 0 { bytes.append(UInt8(ascii: " ")) }
    return withUnsafeBytes(of: UInt64(bytes.count).littleEndian) { Array($0) } + bytes
  }
}
