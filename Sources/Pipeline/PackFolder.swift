import Basics
import Glibc
import Images

/// Writes a data source out as a folder of JPEG files, the bytes as the source gives them.
///
/// The result is `images/NAME.jpg`, where names of generated images with labels begin with their class, and
/// `manifest.json`; for generated shapes also `masks/NAME.png`, as `TinyShapes.mask` makes them, and for their split
/// `retr` also `retrieval.json`: the names of database (`imlist`) and queries (`qimlist`), and for each query (`gnd`) the
/// positions in `imlist` that are `easy`, `hard` and `junk`.
/// - Throws: `Failure` of code 73 when `directory` exists and is not empty, or what the source throws.
public func packAsFolder(_ source: DataSource, to directory: String) throws(Failure) {
  guard try isMissingOrEmpty(directory) else {
    throw Failure(
      .cannotCreate, "the directory exists and is not empty", at: directory,
      hint: "choose another directory, or remove this one")
  }
  var made: Set<String> = []
  func write(_ bytes: [UInt8], _ path: String) throws(Failure) {
    let parent = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    if made.insert(parent).inserted { try makeDirectories(parent) }
    try AtomicFile.write(bytes, to: path)
  }
  for i in 0..<source.count {
    let name = source.name(i)
    try write(try source.bytes(i), "\(directory)/images/\(name)")
    if let shapes = source.shapes {
      try write(PNG.encode(shapes.mask(i)), "\(directory)/masks/\(name.dropLast(4)).png")
    }
  }
  if let shapes = source.shapes, shapes.split == .retr {
    try AtomicFile.write(groundTruth(of: shapes).line + "\n", to: "\(directory)/retrieval.json")
  }
  let manifest = JSON.object([
    ("source", .string(source.shapes?.canonicalAddress ?? source.address)), ("images", .int(source.count)),
    ("classes", .array((source.shapes?.classNames ?? source.classNames).map { .string($0) })),
    ("masks", .bool(source.shapes != nil)),
    ("fingerprint", .string(String(source.fingerprint, radix: 16))),
  ])
  try AtomicFile.write(manifest.line + "\n", to: "\(directory)/manifest.json")
}

private func groundTruth(of shapes: TinyShapes) -> JSON {
  let truth = shapes.retrievalTruth
  let queries = truth.map(\.query)
  let database = (0..<shapes.count).filter { !queries.contains($0) }
  let place = Dictionary(uniqueKeysWithValues: zip(database, database.indices))
  func places(_ images: [Int]) -> JSON { .array(images.compactMap { place[$0] }.map { .int($0) }) }
  func names(_ images: [Int]) -> JSON { .array(images.map { .string(shapes.name($0)) }) }
  return .object([
    ("imlist", names(database)), ("qimlist", names(queries)),
    (
      "gnd",
      .array(
        truth.map {
          .object([("easy", places($0.easy)), ("hard", places($0.hard)), ("junk", places($0.junk))])
        })
    ),
  ])
}

private func isMissingOrEmpty(_ path: String) throws(Failure) -> Bool {
  switch fileKind(path) {
  case .missing: return true
  case .file: return false
  case .directory: break
  }
  guard let directory = opendir(path) else { throw Failure.system("opendir", path: path, errno: errno) }
  defer { closedir(directory) }
  while let entry = readdir(directory) {
    let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    if name != "." && name != ".." { return false }
  }
  return true
}

/// Makes a directory and those above it.
func makeDirectories(_ path: String) throws(Failure) {
  guard fileKind(path) != .directory else { return }
  if let slash = path.lastIndex(of: "/"), slash != path.startIndex { try makeDirectories(String(path[..<slash])) }
  guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
    let failure = Failure.system("mkdir", path: path, errno: errno)
    throw Failure(failure.code == .permission ? .permission : .cannotCreate, failure.what, at: path, hint: failure.hint)
  }
}
