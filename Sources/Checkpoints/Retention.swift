import Basics
import Glibc

/// Which checkpoints stay.
public enum Retention {
  /// Removes old checkpoints of one stage: the newest `keepLast` stay, and those of every `keepEvery`-th step.
  ///
  /// The order is that of the step numbers. At least one file that is whole stays: when none of those to keep is, the
  /// newest whole one of the others stays too. Files of other names are left alone.
  /// - Parameters:
  ///   - keepLast: 1 or more.
  ///   - keepEvery: steps; nil keeps no further ones.
  ///   - verified: a file known to be whole, such as the one just saved; without it the files are read.
  /// - Returns: the paths that were removed.
  /// - Throws: code 74 or 77 when a file cannot be removed.
  /// - Collective: local; rank 0 alone calls it.
  @discardableResult
  public static func apply(
    _ directory: String, keepLast: Int, keepEvery: Int? = nil, verified: String? = nil
  ) throws(Failure) -> [String] {
    precondition(keepLast >= 1, "Retention: keepLast is \(keepLast)")
    let all = CheckpointFolder.checkpoints(directory)
    var keep: [String] = []
    var old: [String] = []
    for (place, file) in all.enumerated() {
      let isMilestone = keepEvery.map { $0 > 0 && file.step.isMultiple(of: $0) } ?? false
      if place < keepLast || isMilestone { keep.append(file.path) } else { old.append(file.path) }
    }
    guard !old.isEmpty else { return [] }
    if !keep.contains(where: { $0 == verified || isWhole($0) }), let last = old.firstIndex(where: isWhole) {
      old.remove(at: last)
    }
    for path in old {
      guard unlink(path) == 0 || errno == ENOENT else { throw Failure.system("unlink", path: path, errno: errno) }
    }
    return old
  }

  private static func isWhole(_ path: String) -> Bool { (try? CheckpointReader.verify(path)) != nil }
}
