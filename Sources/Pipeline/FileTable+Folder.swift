import Basics
import Glibc

extension FileTable {
  /// All JPEG files below a directory, any nesting, in the byte order of their relative paths.
  ///
  /// With labels, the class of a file is its first-level folder; files directly in the root then have none. Labels that
  /// are nil are taken where there are any.
  init(folder: String, labels: Bool?) throws(Failure) {
    self.init(root: folder)
    guard fileKind(folder) != .missing else { throw .dataMissing(folder) }
    guard fileKind(folder) == .directory else {
      throw Failure(
        .inputMissing, "not a directory", at: folder, hint: "folder: wants a directory; for a list of files use list:")
    }
    var walk = FolderWalk(root: root.isEmpty ? Array("./".utf8) : root)
    try walk.visit([], into: &self)
    guard count > 0 else {
      throw Failure(
        .inputMissing, "no JPEG files in the folder", at: folder,
        hint: skipped > 0
          ? "\(skipped) other files were passed over; names must end in \(jpegSuffixes.joined(separator: ", "))"
          : "the folder is empty")
    }
    if labels != false { try labelByFolder(folder, isRequired: labels == true) }
  }

  private mutating func labelByFolder(_ folder: String, isRequired: Bool) throws(Failure) {
    var classes: [String] = []
    var current: ArraySlice<UInt8>?
    var found: [Int32] = []
    // Paths are in byte order with "/" at the end of a folder's name, so that a class is one run of files.
    for i in 0..<count {
      let name = nameBytes(i)
      guard let slash = name.firstIndex(of: UInt8(ascii: "/")) else {
        found.append(-1)
        continue
      }
      let folderName = name[name.startIndex..<slash]
      if current.map({ !$0.elementsEqual(folderName) }) ?? true {
        classes.append(String(decoding: folderName, as: UTF8.self))
        current = folderName
      }
      found.append(Int32(classes.count - 1))
    }
    if classes.isEmpty && !isRequired { return }
    guard !classes.isEmpty else {
      throw Failure(
        .badData, "labels are asked for, but the folder has no class folders", at: folder,
        hint: "put each class into a folder of its own, or set data.labels: false")
    }
    // Class ids follow the byte order of the names alone, in which "a-b" stands after "a".
    let order = classes.indices.sorted { classes[$0].utf8.lexicographicallyPrecedes(classes[$1].utf8) }
    var rank = [Int32](repeating: 0, count: classes.count)
    for (position, old) in order.enumerated() { rank[old] = Int32(position) }
    setLabels(found.map { $0 < 0 ? -1 : rank[Int($0)] }, classNames: order.map { classes[$0] })
  }
}

/// The endings of names that are taken for JPEG files, whatever their case.
let jpegSuffixes = [".jpg", ".jpeg", ".jpe"]

private func isJPEGName(_ name: [UInt8]) -> Bool {
  let tail = String(decoding: name.suffix(5), as: UTF8.self).lowercased()
  return jpegSuffixes.contains { tail.hasSuffix($0) }
}

/// A walk through a directory tree in byte order, links followed.
private struct FolderWalk {
  let root: [UInt8]
  private var open: [FolderIdentity] = []

  private struct FolderIdentity: Equatable {
    let device: dev_t
    let inode: ino_t
  }

  init(root: [UInt8]) { self.root = root }

  mutating func visit(_ relative: [UInt8], into table: inout FileTable) throws(Failure) {
    let path = root + relative
    let (names, identity) = try entries(path)
    guard !open.contains(identity) else {
      throw Failure(
        .badData, "the folder contains itself through a link", at: String(decoding: path, as: UTF8.self),
        hint: "remove the link")
    }
    open.append(identity)
    defer { open.removeLast() }
    for name in names {
      if name.last == UInt8(ascii: "/") {
        try visit(relative + name, into: &table)
      } else if isJPEGName(name) {
        table.append(relative + name)
      } else {
        table.skip()
      }
    }
  }

  /// The names in a directory, folders with a slash at their end, hidden ones left out, in byte order.
  private func entries(_ path: [UInt8]) throws(Failure) -> ([[UInt8]], FolderIdentity) {
    let shown = String(decoding: path, as: UTF8.self)
    let opened = (path + [0]).withUnsafeBytes { raw in
      raw.bindMemory(to: CChar.self).baseAddress.flatMap { opendir($0) }
    }
    guard let directory = opened else { throw Failure.system("opendir", path: shown, errno: errno) }
    defer { closedir(directory) }
    var status = stat()
    guard fstat(dirfd(directory), &status) == 0 else { throw Failure.system("fstat", path: shown, errno: errno) }
    var found: [[UInt8]] = []
    while let entry = readdir(directory) {
      var name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
      if name.first == UInt8(ascii: ".") { continue }
      if isDirectory(entry.pointee.d_type, path + name) { name.append(UInt8(ascii: "/")) }
      found.append(name)
    }
    return (
      found.sorted { $0.lexicographicallyPrecedes($1) }, FolderIdentity(device: status.st_dev, inode: status.st_ino)
    )
  }

  private func isDirectory(_ type: UInt8, _ path: [UInt8]) -> Bool {
    if Int(type) == Int(DT_DIR) { return true }
    if Int(type) == Int(DT_REG) { return false }
    return (path + [0]).withUnsafeBytes { raw in
      guard let text = raw.bindMemory(to: CChar.self).baseAddress else { return false }
      var status = stat()
      return stat(text, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
  }
}
