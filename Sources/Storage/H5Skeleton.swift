import Basics

/// An HDF5 file without its elements: names, shapes, attributes, and where the elements of each dataset belong.
///
/// The library makes it in memory, on one process, and the elements are then written by plain positioned writes, by
/// any number of processes. So a full disk is an error of a system call that names itself; inside the library it
/// would make the closing of the file fail, and then even the end of the process.
public struct H5Skeleton: Sendable {
  /// Some bytes and their place in the file.
  public struct Piece: Sendable {
    /// The place of the first byte.
    public let position: Int
    /// The bytes.
    public let bytes: [UInt8]
  }

  /// The first byte of the elements of each dataset, in the order asked for; 0 for one without elements.
  public let offsets: [Int]
  /// The length of the whole file.
  public let length: Int
  /// Everything but the user block and the elements.
  public let metadata: [Piece]

  /// Lays out a file and writes it, with its full length and all its disk space taken, but for the elements.
  /// - Parameters:
  ///   - datasets: name, kind and shape of each; their `offset` is not looked at.
  ///   - userBlock, alignment: as in `H5File.create`.
  ///   - attributes: adds attributes to the file, in which all datasets are already there.
  /// - Throws: code 73, 74 or 77.
  /// - Collective: local.
  public static func create(
    _ path: String, _ datasets: [DatasetInfo], userBlock: Int = 0, alignment: Int = 1,
    attributes: (H5File) throws(Failure) -> Void
  ) throws(Failure) -> H5Skeleton {
    let target = try ByteFile.create(path)
    // First of all, so that every limit shows before the library is asked to work under it.
    try target.allocate(datasets.reduce(1 << 20) { $0 + $1.bytes })
    let image = try ByteFile.createInMemory()
    let opened = Result { () throws(Failure) in
      try H5File.create(image.path, userBlock: userBlock, alignment: alignment)
    }
    image.unlink()
    let file = try opened.get()
    let filled = Result { () throws(Failure) -> [Int] in
      for dataset in datasets {
        guard let kind = dataset.kind else { preconditionFailure("H5Skeleton: \(dataset.name) has no kind") }
        try file.createDataset(dataset.name, kind, shape: dataset.shape)
      }
      try attributes(file)
      var offsets: [Int] = []
      for dataset in datasets { offsets.append(try file.dataset(dataset.name).offset ?? 0) }
      return offsets
    }
    try file.close()
    let offsets = try filled.get()
    let length = try image.length()
    let elements = zip(offsets, datasets).map { $0..<$0 + $1.bytes }
    var metadata: [Piece] = []
    for gap in gaps(from: userBlock, to: length, except: elements) {
      metadata.append(Piece(position: gap.lowerBound, bytes: try image.bytes(gap.count, at: gap.lowerBound)))
    }
    for piece in metadata { try target.write(piece.bytes, at: piece.position) }
    try target.truncate(length)
    try target.allocate(length)
    return H5Skeleton(offsets: offsets, length: length, metadata: metadata)
  }

  /// The bytes from `start` to `end` that lie in none of the `known` ranges, in pieces of at most 4 MiB.
  public static func gaps(from start: Int, to end: Int, except known: [Range<Int>]) -> [Range<Int>] {
    var gaps: [Range<Int>] = []
    var position = start
    for range in known.filter({ !$0.isEmpty }).sorted(by: { $0.lowerBound < $1.lowerBound }) + [end..<end] {
      while position < range.lowerBound {
        let next = min(range.lowerBound, position + (4 << 20))
        gaps.append(position..<next)
        position = next
      }
      position = max(position, range.upperBound)
    }
    return gaps
  }
}
