import Basics
import Glibc
import Storage

/// Names and moves of checkpoint files. Only rank 0 uses it.
enum CheckpointFolder {
  static let partialSuffix = ".partial"

  /// `step-00000100.h5`.
  static func name(step: Int) -> String {
    let digits = String(step)
    return "step-\(String(repeating: "0", count: max(0, 8 - digits.count)))\(digits).h5"
  }

  /// The step in the name of a checkpoint; nil for any other file.
  static func step(ofName name: String) -> Int? {
    guard name.hasPrefix("step-"), name.hasSuffix(".h5") else { return nil }
    let digits = name.dropFirst(5).dropLast(3)
    guard !digits.isEmpty, digits.allSatisfy({ $0.isASCII && $0.isNumber }) else { return nil }
    return Int(digits)
  }

  /// The checkpoints of one stage, newest first, by number.
  static func checkpoints(_ directory: String) -> [(step: Int, path: String)] {
    let names = Directory.entries(directory)
    let found = names.compactMap { name in step(ofName: name).map { (step: $0, path: "\(directory)/\(name)") } }
    return found.sorted { $0.step > $1.step }
  }

  /// Removes what saves that were killed left behind.
  static func removeLeftovers(_ directory: String) {
    for name in Directory.entries(directory) where name.hasSuffix(partialSuffix) {
      if step(ofName: String(name.dropLast(partialSuffix.count))) != nil { unlink("\(directory)/\(name)") }
    }
  }

  /// Gives a finished file its name, for good.
  /// - Throws: code 74.
  static func commit(_ partial: String, to path: String) throws(Failure) {
    guard rename(partial, path) == 0 else { throw Failure.system("rename", path: path, errno: errno) }
    try AtomicFile.syncDirectory(of: path)
  }

  /// Points `last.h5` of the folder above to a file.
  static func point(to path: String) {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count > 2 else { return }
    let link = (parts.dropLast(2) + ["last.h5"]).joined(separator: "/")
    let temporary = "\(link).\(getpid())"
    // The link is a hint that nothing reads: when it cannot be made, the checkpoint is as good as before.
    if symlink(parts.suffix(2).joined(separator: "/"), temporary) == 0, rename(temporary, link) != 0 {
      unlink(temporary)
    }
  }
}
