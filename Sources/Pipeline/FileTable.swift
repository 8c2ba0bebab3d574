import Basics
import Glibc

/// The files of a folder or list: names in one block of memory, because there may be millions.
///
/// Names are bytes: a file name need not be UTF-8.
struct FileTable: Sendable {
  /// The directory that names are relative to, with a slash at its end, or empty.
  let root: [UInt8]
  private(set) var classNames: [String] = []
  private(set) var skipped = 0
  private var names: [UInt8] = []
  private var ends: [Int] = []
  private var labels: [Int32] = []

  init(root: String) {
    self.root = Array((root.isEmpty || root.hasSuffix("/") ? root : root + "/").utf8)
  }

  var count: Int { ends.count }

  func label(_ i: Int) -> Int32 { labels.isEmpty ? -1 : labels[i] }

  func name(_ i: Int) -> String { String(decoding: nameBytes(i), as: UTF8.self) }

  func nameBytes(_ i: Int) -> ArraySlice<UInt8> { names[(i == 0 ? 0 : ends[i - 1])..<ends[i]] }

  var fingerprint: UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    func add(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    for i in 0..<count {
      for byte in nameBytes(i) { add(byte) }
      add(0)
      withUnsafeBytes(of: label(i).littleEndian) { $0.forEach(add) }
    }
    return hash
  }

  mutating func append(_ name: [UInt8]) {
    names += name
    ends.append(names.count)
  }

  mutating func skip() { skipped += 1 }

  mutating func setLabels(_ labels: [Int32], classNames: [String]) {
    precondition(labels.count == count, "FileTable: \(labels.count) labels for \(count) files")
    self.labels = labels
    self.classNames = classNames
  }

  /// The whole file `i`.
  func read(_ i: Int) throws(Failure) -> [UInt8] {
    let name = nameBytes(i)
    let path = (name.first == UInt8(ascii: "/") ? [] : root) + name + [0]
    return try path.withUnsafeBufferPointer { (bytes) throws(Failure) -> [UInt8] in
      guard let base = bytes.baseAddress else { return [] }
      return try base.withMemoryRebound(to: CChar.self, capacity: bytes.count) { (text) throws(Failure) in
        try readFile(text)
      }
    }
  }
}

/// Reads a regular file.
func readFile(_ path: UnsafePointer<CChar>) throws(Failure) -> [UInt8] {
  let shown = { String(cString: path) }
  // Without O_NONBLOCK, opening a named pipe would wait for ever.
  let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
  guard file >= 0 else { throw Failure.system("open", path: shown(), errno: errno) }
  defer { close(file) }
  var status = stat()
  guard fstat(file, &status) == 0 else { throw Failure.system("fstat", path: shown(), errno: errno) }
  guard status.st_mode & S_IFMT == S_IFREG else { throw Failure(.badData, "not a regular file", at: shown()) }
  let size = Int(status.st_size)
  guard size <= 1 << 30 else { throw Failure(.badData, "larger than 1 GiB: no image", at: shown()) }
  var problem: Int32 = 0
  let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
    while count < size {
      let got = Glibc.read(file, buffer.baseAddress.map { $0 + count }, size - count)
      if got < 0 && errno == EINTR { continue }
      if got < 0 { problem = errno }
      if got <= 0 { break }
      count += got
    }
  }
  guard problem == 0 else { throw Failure.system("read", path: shown(), errno: problem) }
  return bytes
}
