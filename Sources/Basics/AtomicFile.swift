import Glibc

/// Files that are either the old one or the new one, whatever happens in between.
public enum AtomicFile {
  /// Writes text through a temporary file, fsync, rename and fsync of the directory.
  public static func write(_ text: String, to path: String) throws(Failure) {
    try write(Array(text.utf8), to: path)
  }

  /// Writes bytes through a temporary file, fsync, rename and fsync of the directory.
  ///
  /// - Throws: `Failure` of code 74, 73 or 77 with the path; the old file is then untouched.
  public static func write(_ bytes: [UInt8], to path: String) throws(Failure) {
    let temporary = "\(path).tmp-\(getpid())"
    let file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard file >= 0 else { throw Failure.system("open", path: temporary, errno: errno) }
    do throws(Failure) {
      try writeAll(bytes, to: file, path: temporary)
      guard fsync(file) == 0 else { throw Failure.system("fsync", path: temporary, errno: errno) }
    } catch {
      close(file)
      unlink(temporary)
      throw error
    }
    close(file)
    guard rename(temporary, path) == 0 else {
      let number = errno
      unlink(temporary)
      throw Failure.system("rename", path: path, errno: number)
    }
    try syncDirectory(of: path)
  }

  /// Makes a rename in the directory of `path` durable.
  public static func syncDirectory(of path: String) throws(Failure) {
    let directory = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    let handle = open(directory.isEmpty ? "/" : directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard handle >= 0 else { throw Failure.system("open", path: directory, errno: errno) }
    defer { close(handle) }
    guard fsync(handle) == 0 else { throw Failure.system("fsync", path: directory, errno: errno) }
  }

  private static func writeAll(_ bytes: [UInt8], to file: Int32, path: String) throws(Failure) {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { raw in
        Glibc.write(file, raw.baseAddress.map { $0 + done }, raw.count - done)
      }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw Failure.system("write", path: path, errno: errno) }
      done += count
    }
  }
}
