import Basics
import Messaging
import Pipeline
import Storage

/// Features in files, by the parts of a dataset: a folder with `train.h5` and `val.h5`, or with folders `train` and
/// `val` of `.npy` files. A single file, or a single folder of `.npy` files, is one part, `val`.
public struct StoredFeatures: Sendable {
  /// What was opened, as written.
  public let path: String
  private let files: [Split: FeatureFile]

  /// Opens what is there.
  ///
  /// - Throws: input missing, bad data; on all ranks.
  /// - Collective: all ranks.
  public init(_ path: String, communicator: Communicator) throws(Failure) {
    self.path = path
    let found = Split.allCases.map { split in
      ["\(path)/\(split.rawValue).h5", "\(path)/\(split.rawValue)"].first(where: Directory.exists) ?? ""
    }
    // What rank 0 sees counts, so that all open the same files.
    let line = try communicator.broadcast(JSON.array(found.map { .string($0) }).line)
    let places = (try JSON.parse(line).arrayValue ?? []).compactMap(\.stringValue)
    var files: [Split: FeatureFile] = [:]
    for (split, place) in zip(Split.allCases, places) where !place.isEmpty {
      files[split] = try FeatureFile(place, communicator: communicator)
    }
    if files.isEmpty { files[.val] = try FeatureFile(path, communicator: communicator) }
    self.files = files
    if let train = files[.train], let val = files[.val] { try Self.requireSameClasses(train, val) }
  }

  /// The features of a part.
  ///
  /// - Throws: input missing when they are not there.
  public func file(_ split: Split) throws(Failure) -> FeatureFile {
    if let file = files[split] { return file }
    throw Failure(
      .inputMissing, "there are no features of the split '\(split.rawValue)'", at: path,
      hint: "sslmpi embed ... --data ROOT --out DIR writes those of all splits of ROOT; then give --features DIR")
  }

  /// Makes sure that the features are those of some images.
  ///
  /// - Throws: bad data, naming the part, when they are of others.
  public func requireMatch(_ splits: DataSplits) throws(Failure) {
    for split in splits.splits {
      guard let file = files[split] else { continue }
      let source = try splits.source(split)
      let hash = String(source.fingerprint, radix: 16)
      let own = file.manifest.origin
      guard own.dataHash.isEmpty || own.dataHash == hash, file.manifest.count == source.count else {
        throw Failure(
          .badData,
          "the features of \(split.rawValue) are of other images than the data: \(file.manifest.count) images of "
            + "'\(own.data)', hash \(own.dataHash), against \(source.count) with hash \(hash)", at: file.path,
          hint: "give the --data that sslmpi embed was given, or make the features again")
      }
    }
  }

  private static func requireSameClasses(_ train: FeatureFile, _ val: FeatureFile) throws(Failure) {
    guard train.manifest.classNames != val.manifest.classNames else { return }
    throw Failure(
      .badData, "the features of train and val have other classes", at: val.path,
      hint: "make both from one dataset: their labels count the classes in the order of their names")
  }
}
