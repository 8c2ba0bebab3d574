import Basics
import Glibc

/// A set of JPEG images that has an address, whatever holds them.
///
/// Addresses: a path (a directory, or a list file), `folder:DIR`, `list:FILE`, `list:FILE?root=DIR`,
/// `synth:tinyshapes?n=2000&size=32&seed=0&hardness=0.3&split=train`.
public final class DataSource: Sendable {
  /// What was opened, as written.
  public let address: String
  /// Images.
  public let count: Int
  /// The names of the classes, by label; empty without labels.
  public let classNames: [String]
  /// Files that were passed over because their name does not end like a JPEG's.
  public let skippedFiles: Int
  /// A hash of the names and labels in their order: equal on every rank that sees the same data.
  public let fingerprint: UInt64
  /// The generator, when the images are generated.
  public let shapes: TinyShapes?
  private let files: FileTable?

  init(address: String, files: FileTable) {
    self.address = address
    self.files = files
    shapes = nil
    count = files.count
    classNames = files.classNames
    skippedFiles = files.skipped
    fingerprint = files.fingerprint
  }

  init(address: String, shapes: TinyShapes, labels: Bool) {
    self.address = address
    self.shapes = shapes
    files = nil
    count = shapes.count
    classNames = labels ? shapes.classNames : []
    skippedFiles = 0
    fingerprint = stableHash(shapes.canonicalAddress)
  }

  /// Opens an address.
  ///
  /// - Parameters:
  ///   - labels: whether images have labels: the first-level folder, the list's second column, or the shape; nil takes
  ///     them where there are any.
  /// - Throws: `Failure` of code 66 when the path is missing or holds no JPEG, 78 for an unknown scheme or
  ///   parameter, 65 for a damaged list or one without the labels asked for, 77 without permission.
  public static func open(_ address: String, labels: Bool?) throws(Failure) -> DataSource {
    let parsed = try DataAddress(address)
    switch parsed.scheme {
    case .folder:
      return DataSource(address: address, files: try FileTable(folder: parsed.path, labels: labels))
    case .list:
      let files = try FileTable(list: parsed.path, root: parsed.parameters["root"], labels: labels)
      return DataSource(address: address, files: files)
    case .synth:
      let shapes = try TinyShapes(parsed)
      guard labels != true || !shapes.classNames.isEmpty else {
        throw Failure(
          .badData, "labels are asked for, but images of split=\(shapes.split.rawValue) have none", at: address,
          hint: "set data.labels: false, or use split=train or split=val")
      }
      return DataSource(address: address, shapes: shapes, labels: labels ?? true)
    }
  }

  /// The label of image `i`, -1 for none.
  public func label(_ i: Int) -> Int32 {
    if let files { return files.label(i) }
    return classNames.isEmpty ? -1 : (shapes?.label(i) ?? -1)
  }

  /// The name of image `i` in the dataset: a path relative to the root, or a generated name.
  public func name(_ i: Int) -> String { files?.name(i) ?? shapes?.name(i) ?? "" }

  /// The bytes of image `i`: a JPEG file, if the file is what its name says.
  ///
  /// - Throws: `Failure` of code 66, 74 or 77 when the file has vanished or cannot be read.
  public func bytes(_ i: Int) throws(Failure) -> [UInt8] {
    if let files { return try files.read(i) }
    guard let shapes else { preconditionFailure("DataSource: \(address) holds nothing") }
    return shapes.bytes(i)
  }
}
