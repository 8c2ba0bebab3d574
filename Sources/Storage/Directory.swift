import Basics
import Glibc

/// Folders of the file system.
public enum Directory {
  /// Makes a folder and those above it that are missing.
  /// - Throws: code 73 or 77 with the folder that could not be made.
  public static func create(_ path: String) throws(Failure) {
    var made = path.hasPrefix("/") ? "/" : ""
    for part in path.split(separator: "/") {
      made += made.isEmpty || made.hasSuffix("/") ? String(part) : "/\(part)"
      // Asked first: some file systems refuse to make what is already there with another error than EEXIST.
      guard access(made, F_OK) != 0, mkdir(made, 0o755) != 0, errno != EEXIST else { continue }
      let plain = Failure.system("mkdir", path: made, errno: errno)
      throw Failure(plain.code == .permission ? .permission : .cannotCreate, plain.what, at: made, hint: plain.hint)
    }
  }

  /// Whether anything is at `path`, links followed.
  public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Whether a folder is at `path`, links followed.
  public static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// The names in a folder, sorted; none when it cannot be read.
  public static func entries(_ path: String) -> [String] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { field in
        field.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// The bytes that this user can still write to the file system of a folder; nil when it does not say.
  public static func freeBytes(_ path: String) -> Int? {
    var status = statvfs()
    guard statvfs(path, &status) == 0, status.f_blocks > 0 else { return nil }
    return Int(status.f_bavail) * Int(status.f_frsize)
  }
}
