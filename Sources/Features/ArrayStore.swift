import Basics
import Storage

/// Named arrays in an HDF5 file, or in a folder of `.npy` files with a `manifest.json`, for reading.
struct ArrayStore: Sendable {
  /// The file or folder.
  let path: String
  /// The arrays, by name.
  let arrays: [DatasetInfo]
  private let isFolder: Bool
  private let entries: [String: JSON]

  /// Reads names, shapes and the manifest.
  ///
  /// - Throws: input missing when there is nothing at `path`, bad data when it is no such file.
  init(_ path: String) throws(Failure) {
    self.path = path
    isFolder = Directory.isFolder(path)
    if isFolder {
      arrays = try Self.folder(path)
      let manifest = "\(path)/\(Self.manifest)"
      entries =
        Directory.entries(path).contains(Self.manifest) ? Self.entries(of: try Self.manifest(at: manifest)) : [:]
    } else {
      let file = try H5File.open(path)
      let content = Result { () throws(Failure) in try Self.content(of: file) }
      try file.close()
      (arrays, entries) = try content.get()
    }
  }

  /// The name of the manifest of a folder.
  static let manifest = "manifest.json"
  static let suffix = ".npy"

  /// An entry of the manifest.
  func entry(_ name: String) -> JSON? { entries[name] }

  /// Whole numbers of a list, whatever their width in the file.
  ///
  /// - Throws: bad data when there are others.
  func integers(_ name: String) throws(Failure) -> [Int64] {
    let info = try array(name)
    guard info.kind == .int32 || info.kind == .int64 else {
      throw Failure(.badData, "the array '\(name)' holds no whole numbers", at: path, hint: "int32 or int64")
    }
    var numbers = [Int64](repeating: 0, count: info.count)
    try numbers.withUnsafeMutableBufferPointer { (numbers) throws(Failure) in
      let bytes = UnsafeMutableRawBufferPointer(numbers)
      try read(info, 0..<info.count, as: .int64, into: bytes) { source, target in
        let wide = target.bindMemory(to: Int64.self)
        for (place, value) in source.bindMemory(to: Int32.self).enumerated() { wide[place] = Int64(value) }
      }
    }
    return numbers
  }

  /// Some elements of an array in single precision.
  ///
  /// - Throws: bad data when it holds other numbers than floats.
  func floats(_ name: String, _ elements: Range<Int>, into target: UnsafeMutablePointer<Float>) throws(Failure) {
    let info = try array(name)
    guard info.kind == .float32 || info.kind == .float64 else {
      throw Failure(.badData, "the array '\(name)' holds no floating-point numbers", at: path, hint: "use float32")
    }
    let bytes = UnsafeMutableRawBufferPointer(start: target, count: 4 * elements.count)
    try read(info, elements, as: .float32, into: bytes) { source, target in
      let single = target.bindMemory(to: Float.self)
      for (place, value) in source.bindMemory(to: Double.self).enumerated() { single[place] = Float(value) }
    }
  }

  /// What is known about an array.
  ///
  /// - Throws: bad data, naming those that are there.
  func array(_ name: String) throws(Failure) -> DatasetInfo {
    if let info = arrays.first(where: { $0.name == name }) { return info }
    throw Failure(
      .badData, "there is no array '\(name)'", at: path,
      hint: "there are \(arrays.map(\.name).joined(separator: ", "))")
  }

  /// Reads elements of kind `wanted`; those of another kind are read as they are and go through `convert`.
  private func read(
    _ info: DatasetInfo, _ elements: Range<Int>, as wanted: ElementKind, into target: UnsafeMutableRawBufferPointer,
    convert: (UnsafeRawBufferPointer, UnsafeMutableRawBufferPointer) -> Void
  ) throws(Failure) {
    guard let base = target.baseAddress, !elements.isEmpty, let kind = info.kind else { return }
    if !isFolder {
      // The library converts by itself.
      let file = try H5File.open(path)
      let result = Result { () throws(Failure) in
        try file.read(info.name, wanted, into: base, boxes: Hyperslab.covering(elements, of: info.shape))
      }
      try file.close()
      return try result.get()
    }
    let file = try ByteFile.open("\(path)/\(info.name)\(Self.suffix)")
    let place = (info.offset ?? 0) + elements.lowerBound * kind.bytes
    if kind == wanted { return try file.read(target, at: place) }
    let foreign = UnsafeMutableRawBufferPointer.allocate(byteCount: elements.count * kind.bytes, alignment: 8)
    defer { foreign.deallocate() }
    try file.read(foreign, at: place)
    convert(UnsafeRawBufferPointer(foreign), target)
  }

  private static func folder(_ path: String) throws(Failure) -> [DatasetInfo] {
    var found: [DatasetInfo] = []
    for name in Directory.entries(path) where name.hasSuffix(suffix) {
      let (header, offset) = try NumpyHeader.read(try ByteFile.open("\(path)/\(name)"))
      found.append(
        DatasetInfo(
          name: String(name.dropLast(suffix.count)), kind: header.kind, shape: header.shape, offset: offset))
    }
    return found
  }

  private static func manifest(at path: String) throws(Failure) -> JSON {
    let file = try ByteFile.open(path)
    do throws(Failure) {
      return try JSON.parse(String(decoding: try file.bytes(try file.length(), at: 0), as: UTF8.self))
    } catch {
      throw Failure(error.code, error.what, at: path, hint: error.hint)
    }
  }

  private static func entries(of manifest: JSON) -> [String: JSON] {
    Dictionary((manifest.members ?? []).map { ($0.key, $0.value) }) { first, _ in first }
  }

  private static func content(of file: H5File) throws(Failure) -> (arrays: [DatasetInfo], entries: [String: JSON]) {
    var entries: [String: JSON] = [:]
    for (name, value) in try file.attributes() {
      entries[name] = try value.json(isList: name == FeatureManifest.classes)
    }
    return (try file.datasets().filter { !$0.name.contains("/") }, entries)
  }
}
