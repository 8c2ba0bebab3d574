import Basics
import Storage
import Tensors

/// A safetensors file that is read: its table of contents, and single tensors on demand.
public struct SafetensorsFile: Sendable {
  /// The path of the file.
  public let path: String
  /// The texts that belong to no tensor.
  public let metadata: [String: String]
  /// The tensors in the order of their bytes.
  let entries: [Safetensors.Entry]
  private let places: [String: Int]
  private let dataStart: Int

  /// Reads the header and checks that it describes the file exactly. Nothing of the numbers is read.
  ///
  /// - Throws: code 66 when there is no file, 65 when it is cut off, damaged or another format.
  /// - Collective: local.
  public init(_ path: String) throws(Failure) {
    let file = try ByteFile.open(path)
    let length = try file.length()
    guard length >= Safetensors.lengthBytes else {
      throw Safetensors.damaged("it has \(length) bytes", path)
    }
    let start = try file.bytes(Safetensors.lengthBytes, at: 0)
    let headerBytes = start.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    let rest = length - Safetensors.lengthBytes
    guard headerBytes <= Safetensors.maximumHeaderBytes, headerBytes <= rest else {
      if let other = SafetensorsFile.otherFormat(start, path) { throw other }
      throw Safetensors.damaged(
        "its header would be \(headerBytes) bytes long, the file has \(rest) behind the length", path,
        hint: headerBytes <= Safetensors.maximumHeaderBytes ? "the file is cut off: copy or download it again" : nil)
    }
    let bytes = try file.bytes(Int(headerBytes), at: Safetensors.lengthBytes)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw Safetensors.damaged("the header is not UTF-8 text", path)
    }
    let header: JSON
    do throws(Failure) { header = try JSON.parse(text) } catch {
      throw Safetensors.damaged("its header is \(error.what) (\(error.place ?? "?"))", path)
    }
    dataStart = Safetensors.lengthBytes + Int(headerBytes)
    (entries, metadata) = try Safetensors.entries(header, dataBytes: length - dataStart, path: path)
    places = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.name, $0) })
    self.path = path
  }

  /// The names in the order of their bytes.
  public var names: [String] { entries.map(\.name) }

  /// The extents of a tensor; nil when there is none of this name.
  public func shape(_ name: String) -> [Int]? { places[name].map { entries[$0].shape } }

  /// A half as a single. The library's conversion makes 0 of subnormal halves on threads that flush subnormals, as
  /// compute threads do; in single precision these numbers are no subnormals.
  private static func widened(half bits: UInt16) -> Float {
    let magnitude = bits & 0x7C00 == 0 ? Float(bits & 0x3FF) * 0x1p-24 : Float(Float16(bitPattern: bits & 0x7FFF))
    return bits & 0x8000 == 0 ? magnitude : -magnitude
  }

  /// The numbers of a tensor in single precision; half precisions are widened, which is exact.
  ///
  /// - Throws: code 65 when there is none of this name, when it holds other numbers than F32, F16 or BF16, or one that
  ///   is not finite; 74 when the disk fails.
  public func tensor(_ name: String) throws(Failure) -> Tensor {
    guard let place = places[name] else {
      throw Failure(.badData, "the file has no tensor '\(name)'", at: path)
    }
    let entry = entries[place]
    let result = Tensor(uninitialized: Shape(entry.shape))
    let file = try ByteFile.open(path)
    let start = dataStart + entry.range.lowerBound
    switch entry.dtype {
    case "F32":
      let memory = UnsafeMutableRawBufferPointer(start: result.pointer, count: entry.range.count)
      try file.read(memory, at: start)
    case "F16":
      let bits = try SafetensorsFile.halves(file, entry, start)
      for (i, word) in bits.enumerated() { result.pointer[i] = SafetensorsFile.widened(half: word) }
    case "BF16":
      let bits = try SafetensorsFile.halves(file, entry, start)
      for (i, word) in bits.enumerated() { result.pointer[i] = Float(bitPattern: UInt32(word) << 16) }
    default:
      throw Failure(
        .badData, "'\(name)' holds numbers of type \(entry.dtype); F32, F16 and BF16 can be read", at: path,
        hint: "convert the file, with PyTorch: save_file({k: v.float() for k, v in load_file(IN).items()}, OUT)")
    }
    guard result.array.allSatisfy(\.isFinite) else {
      throw Failure(.badData, "'\(name)' holds a number that is not finite", at: path, hint: "take another file")
    }
    return result
  }

  private static func halves(
    _ file: borrowing ByteFile, _ entry: Safetensors.Entry, _ start: Int
  ) throws(Failure) -> [UInt16] {
    try file.bytes(entry.range.count, at: start).withUnsafeBytes { bytes in
      (0..<entry.count).map { UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self)) }
    }
  }

  /// What else the file may be, by its first bytes.
  private static func otherFormat(_ start: [UInt8], _ path: String) -> Failure? {
    if start.starts(with: [0x89, 0x48, 0x44, 0x46]) {
      return Failure(.badData, "this is an HDF5 file, not safetensors", at: path)
    }
    let isArchive = start.starts(with: [0x50, 0x4B, 3, 4])
    guard isArchive || start.starts(with: [0x80]) else { return nil }
    return Failure(
      .badData, "this is a PyTorch file of pickled objects, which can hold code and is not read", at: path,
      hint: "convert it, with PyTorch: from safetensors.torch import save_file; "
        + "save_file(torch.load(IN, weights_only=True)[\"model\"], OUT)")
  }
}
