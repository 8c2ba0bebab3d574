import Basics
import Glibc
import Images

/// Writes a data source out as a folder of JPEG files, the bytes as the source gives them.
///
/// The result is `images/CLASS/NAME.jpg` (a `folder:` source with labels), for generated shapes also
/// `masks/CLASS/NAME.png` (0 on the ground, 1 + class on the shape), and `manifest.json`.
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
  let manifest = JSON.object([
    ("source", .string(source.shapes?.canonicalAddress ?? source.address)), ("images", .int(source.count)),
    ("classes", .array(source.classNames.map { .string($0) })), ("masks", .bool(source.shapes != nil)),
    ("fingerprint", .string(String(source.fingerprint, radix: 16))),
  ])
  try AtomicFile.write(manifest.line + "\n", to: "\(directory)/manifest.json")
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
