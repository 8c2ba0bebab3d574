import Basics
import Messaging
import Storage
import Tensors

/// Features that were stored: an HDF5 file with a dataset for each kind, or a folder with a `.npy` file for each.
///
/// Beside the kinds stand `labels` (int32), `index` (int64, the numbers of the images in their source) and, if they
/// were asked for, `inputs` (the images as the encoder took them). Files of other programs may leave out all but one
/// kind.
/// - Source: spec/evaluation.md 1.3.
public struct FeatureFile: Sendable {
  /// The file or folder.
  public let path: String
  /// What it says about itself.
  public let manifest: FeatureManifest
  /// Labels of all images, -1 where the file has none.
  public let labels: [Int32]
  /// The numbers of all images in their source.
  public let indices: [Int64]
  private let store: ArrayStore

  /// Opens features for reading.
  ///
  /// - Throws: input missing, bad data; on all ranks.
  /// - Collective: all ranks.
  public init(_ path: String, communicator: Communicator) throws(Failure) {
    try H5File.startLibrary(on: communicator)
    self = try communicator.agreed { () throws(Failure) in try FeatureFile(path) }
  }

  private init(_ path: String) throws(Failure) {
    self.path = path
    store = try ArrayStore(path)
    let kinds = FeatureFile.kinds(store)
    guard let first = kinds.first, let count = first.shape.first else {
      throw Failure(
        .badData, "there are no features", at: path,
        hint: "a dataset or .npy file is named by its kind: cls, patchmean, tokens; see sslmpi embed")
    }
    let names = Set(store.arrays.map(\.name))
    for info in kinds + store.arrays.filter({ FeatureManifest.companions.contains($0.name) }) {
      guard info.shape.first == count else {
        throw Failure(
          .badData, "'\(info.name)' has shape \(info.shape) and '\(first.name)' \(first.shape)", at: path,
          hint: "all arrays have a row for each image")
      }
    }
    manifest = try FeatureManifest(count: count, path: path, store.entry)
    let (hasLabels, hasIndex) = (names.contains(FeatureManifest.labels), names.contains(FeatureManifest.index))
    labels =
      hasLabels
      ? try store.integers(FeatureManifest.labels).map { Int32(clamping: $0) } : [Int32](repeating: -1, count: count)
    indices = hasIndex ? try store.integers(FeatureManifest.index) : (0..<count).map(Int64.init)
  }

  /// The kinds of features that are there, in the order of their names.
  public var kinds: [FeatureKind] { FeatureFile.kinds(store).compactMap { FeatureFile.kind($0.name) } }

  /// The features of one kind, dealt to the ranks.
  ///
  /// - Parameter kind: nil for the only one that there is.
  /// - Throws: usage when there is no such kind, or several to choose from; non-finite when a feature is not a number.
  /// - Collective: all ranks.
  public func features(_ kind: FeatureKind?, communicator: Communicator) throws(Failure) -> FeatureSet {
    let known = kinds
    guard let chosen = kind ?? (known.count == 1 ? known[0] : nil), known.contains(chosen) else {
      throw Failure(
        .usage, kind.map { "there is no feature '\($0)'" } ?? "there are several features", at: path,
        hint: "--feature may be \(known.map(\.description).joined(separator: ", "))")
    }
    let shape = try store.array(chosen.description).shape
    let range = blockRange(count: shape[0], part: communicator.rank, of: communicator.size)
    let rows = Tensor(uninitialized: Shape([range.count] + shape.dropFirst()))
    let width = shape.dropFirst().reduce(1, *)
    try communicator.agreed { () throws(Failure) in
      try store.floats(
        chosen.description, range.lowerBound * width..<range.upperBound * width, into: rows.pointer)
    }
    var origin = manifest.origin
    origin.feature = chosen.description
    let set = FeatureSet(
      rows: rows, range: range, labels: labels, indices: indices, classNames: manifest.classNames, origin: origin)
    try set.requireNumbers(communicator)
    return set
  }

  private static func kind(_ name: String) -> FeatureKind? {
    do throws(Failure) { return try FeatureKind(parsing: name) } catch { return nil }
  }

  private static func kinds(_ store: ArrayStore) -> [DatasetInfo] {
    store.arrays.filter { kind($0.name)?.description == $0.name && $0.shape.count >= 2 }
  }
}

extension Tensor {
  /// The first row with a value that is infinite or not a number; nil when there is none.
  ///
  /// - Shapes: [R, ...]
  var firstNonFiniteRow: Int? {
    guard Kernels.nonFiniteCount(pointer, count: count) > 0 else { return nil }
    let width = count / shape[0]
    return (0..<shape[0]).first { Kernels.nonFiniteCount(pointer + $0 * width, count: width) > 0 }
  }
}
