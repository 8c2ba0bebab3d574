import Basics
import Glibc
import Messaging
import Storage
import Tensors

/// Where stored features go.
public enum FeatureFormat: String, CaseIterable, Sendable {
  /// One HDF5 file.
  case h5
  /// A folder of `.npy` files.
  case npy
}

/// Writes a file of features with all ranks, each its rows at their place; the file is whole or not there.
///
/// - Source: spec/evaluation.md 1.3.
public struct FeatureFileWriter {
  private let path: String
  private let format: FeatureFormat
  private let arrays: [DatasetInfo]
  private let communicator: Communicator
  /// The first byte of the elements of each array.
  private let offsets: [Int]

  /// Writes features.
  ///
  /// - Parameters:
  ///   - path: a file that is replaced, or a folder that is empty or not there.
  ///   - itemShapes: the names of the arrays, kinds of features and `inputs`, and the shape of one row.
  ///   - body: puts all rows of all arrays, on each rank some. Collective.
  /// - Throws: on all ranks: cannot create, I/O error, permission; what `body` throws. Nothing is left then.
  /// - Collective: all ranks.
  public static func write(
    _ path: String, _ format: FeatureFormat, _ manifest: FeatureManifest, labels: [Int32], indices: [Int64],
    itemShapes: [(name: String, shape: [Int])], communicator: Communicator,
    body: (FeatureFileWriter) throws(Failure) -> Void
  ) throws(Failure) {
    precondition(
      labels.count == manifest.count && indices.count == manifest.count,
      "FeatureFileWriter: \(labels.count) labels, \(indices.count) numbers of \(manifest.count) images")
    let count = manifest.count
    let arrays =
      itemShapes.map { DatasetInfo(name: $0.name, kind: .float32, shape: [count] + $0.shape, offset: nil) } + [
        DatasetInfo(name: FeatureManifest.labels, kind: .int32, shape: [count], offset: nil),
        DatasetInfo(name: FeatureManifest.index, kind: .int64, shape: [count], offset: nil),
      ]
    let partial = path + ".partial"
    try H5File.startLibrary(on: communicator)
    do throws(Failure) {
      let own = try communicator.agreed { () throws(Failure) -> [Int] in
        guard communicator.isCoordinator else { return [] }
        return try lay(path, partial, format, manifest, arrays)
      }
      let shared = try communicator.broadcast(own.withUnsafeBytes { Array($0) })
      let writer = FeatureFileWriter(
        path: partial, format: format, arrays: arrays, communicator: communicator,
        offsets: shared.withUnsafeBytes { Array($0.bindMemory(to: Int.self)) })
      try body(writer)
      try writer.finish(labels, indices)
      try communicator.agreed { () throws(Failure) in
        if communicator.isCoordinator { try commit(partial, to: path) }
      }
    } catch {
      if communicator.isCoordinator { remove(partial) }
      throw error
    }
  }

  /// Writes some rows of an array. Local.
  ///
  /// - Shapes: values [rows.count, shape...]
  /// - Throws: I/O error.
  public func put(_ name: String, rows: Range<Int>, _ values: Tensor) throws(Failure) {
    guard let place = arrays.firstIndex(where: { $0.name == name }) else {
      preconditionFailure("FeatureFileWriter: there is no array \(name)")
    }
    let width = arrays[place].shape.dropFirst().reduce(1, *)
    precondition(values.count == rows.count * width, "FeatureFileWriter: \(values.shape) for \(rows.count) rows")
    try put(place, UnsafeRawBufferPointer(start: values.pointer, count: 4 * values.count), from: rows.lowerBound)
  }

  private func put<T>(_ place: Int, _ numbers: [T]) throws(Failure) {
    try numbers.withUnsafeBufferPointer { (numbers) throws(Failure) in
      try put(place, UnsafeRawBufferPointer(numbers), from: 0)
    }
  }

  private func put(_ place: Int, _ bytes: UnsafeRawBufferPointer, from row: Int) throws(Failure) {
    let rowBytes = arrays[place].bytes / max(arrays[place].shape[0], 1)
    try ByteFile.open(file(place), writable: true).write(bytes, at: offsets[place] + row * rowBytes)
  }

  private func file(_ place: Int) -> String { Self.file(path, format, arrays[place]) }

  private static func file(_ path: String, _ format: FeatureFormat, _ array: DatasetInfo) -> String {
    format == .h5 ? path : "\(path)/\(array.name)\(ArrayStore.suffix)"
  }

  /// Adds labels and numbers and brings everything to the disk. Collective.
  private func finish(_ labels: [Int32], _ indices: [Int64]) throws(Failure) {
    try communicator.agreed { () throws(Failure) in
      if communicator.isCoordinator {
        try put(arrays.count - 2, labels)
        try put(arrays.count - 1, indices)
      }
      for place in format == .h5 ? 0..<1 : arrays.indices {
        try ByteFile.open(file(place), writable: true).sync()
      }
    }
  }

  // MARK: the files themselves, of rank 0

  /// Makes the file or folder with everything but the elements.
  ///
  /// - Returns: where the elements of each array begin.
  private static func lay(
    _ path: String, _ partial: String, _ format: FeatureFormat, _ manifest: FeatureManifest, _ arrays: [DatasetInfo]
  ) throws(Failure) -> [Int] {
    if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
      try Directory.create(String(path[..<slash]))
    }
    remove(partial)
    switch format {
    case .h5:
      guard !Directory.isFolder(path) else {
        throw Failure(.cannotCreate, "a folder, where a file is to be written", at: path, hint: "choose another --out")
      }
      return try H5Skeleton.create(partial, arrays) { (file) throws(Failure) in
        for (name, value) in manifest.fields { try file.setAttribute(name, value.attribute) }
      }.offsets
    case .npy:
      guard !Directory.exists(path) || Directory.isFolder(path) && Directory.entries(path).isEmpty else {
        throw Failure(
          .cannotCreate, "it exists and is no empty folder", at: path, hint: "choose another --out, or remove this one")
      }
      try Directory.create(partial)
      var offsets: [Int] = []
      for array in arrays {
        guard let kind = array.kind else { preconditionFailure("FeatureFileWriter: \(array.name) has no kind") }
        let head = NumpyHeader(kind, array.shape).bytes
        let file = try ByteFile.create(Self.file(partial, format, array))
        try file.write(head, at: 0)
        try file.truncate(head.count + array.bytes)
        try file.allocate(head.count + array.bytes)
        offsets.append(head.count)
      }
      try AtomicFile.write(JSON.object(manifest.fields).line + "\n", to: "\(partial)/\(ArrayStore.manifest)")
      return offsets
    }
  }

  private static func commit(_ partial: String, to path: String) throws(Failure) {
    guard rename(partial, path) == 0 else { throw Failure.system("rename", path: path, errno: errno) }
    try AtomicFile.syncDirectory(of: path)
  }

  /// Removes what an earlier or failed attempt left.
  private static func remove(_ partial: String) {
    guard Directory.isFolder(partial) else {
      unlink(partial)
      return
    }
    for name in Directory.entries(partial) { unlink("\(partial)/\(name)") }
    rmdir(partial)
  }
}
