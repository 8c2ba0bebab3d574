import Glibc

/// What a process of this program tells its caller when it ends.
public enum ExitCode: Int32, Sendable, CaseIterable {
  /// The work is done.
  case done = 0
  /// A defect of the program.
  case internalError = 1
  /// A check found a fault.
  case checkFailed = 2
  /// A loss or gradient was not finite.
  case nonFinite = 3
  /// Replicas that must be equal differ: silent corruption.
  case diverged = 4
  /// A rank was lost or hangs: relaunch.
  case rankLost = 5
  /// Wrong arguments.
  case usage = 64
  /// An input file is damaged or of the wrong kind.
  case badData = 65
  /// An input file is missing.
  case inputMissing = 66
  /// A library or an MPI feature is missing.
  case unavailable = 69
  /// The output cannot be created.
  case cannotCreate = 73
  /// Reading or writing failed.
  case ioError = 74
  /// Stopped early on purpose: the checkpoint is valid, submit again.
  case stoppedEarly = 75
  /// Permission denied.
  case permission = 77
  /// A wrong setting.
  case badConfig = 78
}

/// The one error type of the project: what happened, where, and what to do next.
///
/// It is a plain value, so that ranks can send it to each other and all throw the same one.
/// Each target adds its own cases as factories in an extension.
public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
  /// The exit code that the process ends with when nobody handles this.
  public let code: ExitCode
  /// What happened, in one sentence without a full stop.
  public let what: String
  /// File and line, key, path or rank.
  public let place: String?
  /// The likely cause and the next command.
  public let hint: String?

  /// Makes a failure.
  public init(_ code: ExitCode, _ what: String, at place: String? = nil, hint: String? = nil) {
    self.code = code
    self.what = what
    self.place = place
    self.hint = hint
  }

  /// The message a user reads: up to three lines.
  public var description: String {
    var text = "error: \(what)"
    if let place { text += "\n  at: \(place)" }
    if let hint { text += "\n  hint: \(hint)" }
    return text
  }

  /// The same failure with words put before its description, for example the rank it comes from.
  public func prefixed(_ words: String) -> Failure {
    Failure(code, "\(words)\(what)", at: place, hint: hint)
  }
}

extension Failure {
  /// A failed system call, with the path and the system's own words.
  public static func system(_ call: String, path: String, errno number: Int32) -> Failure {
    let text = String(cString: strerror(number))
    let code: ExitCode
    switch number {
    case EACCES, EPERM, EROFS: code = .permission
    case ENOENT: code = .inputMissing
    default: code = .ioError
    }
    let hint: String?
    switch number {
    case ENOSPC: hint = "the file system is full: free space or choose another --out"
    case EDQUOT: hint = "the quota is used up: free space or choose another --out"
    case EACCES, EPERM, EROFS: hint = "check the permissions of the directory"
    default: hint = nil
    }
    return Failure(code, "\(call) failed: \(text)", at: path, hint: hint)
  }
}
