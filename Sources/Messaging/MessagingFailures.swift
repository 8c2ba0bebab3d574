import Basics
import CMPI

extension Failure {
  /// What the MPI library says about a call that did not succeed.
  ///
  /// A wrong argument is a defect of this program; anything else means that a peer or a link is gone.
  static func mpi(_ call: String, code: Int32, place: String) -> Failure {
    var text = [CChar](repeating: 0, count: Int(cmpi_max_error_string()) + 1)
    var length: Int32 = 0
    MPI_Error_string(code, &text, &length)
    let words = String(decoding: text.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    if cmpi_is_argument_error(code) != 0 {
      return Failure(.internalError, "\(call) failed: \(words)", at: place)
    }
    return Failure(
      .rankLost, "\(call) failed: \(words)", at: place,
      hint: "a rank or a link was lost: relaunch with --resume auto")
  }

  /// The MPI library cannot be called from a thread of our own.
  static func threadLevel(provided: Int32) -> Failure {
    Failure(
      .unavailable, "the MPI library offers thread level \(provided), MPI_THREAD_FUNNELED is needed",
      hint: "use an Open MPI that is built with thread support (ompi_info | grep Thread)")
  }

  /// MPI was finished, and the library starts once in a process.
  static var worldIsOver: Failure {
    Failure(.internalError, "World.start() after World.finish(): MPI starts once in a process")
  }

  /// The failure as bytes that another rank can read.
  var encoded: [UInt8] {
    let members: [(String, JSON)] = [
      ("code", .int(Int(code.rawValue))), ("what", .string(what)),
      ("place", place.map(JSON.string) ?? .null), ("hint", hint.map(JSON.string) ?? .null),
    ]
    return Array(JSON.object(members).line.utf8)
  }

  /// The failure that `encoded` came from.
  init(encoded bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    guard let root = try? JSON.parse(text), let number = root["code"]?.intValue,
      let code = ExitCode(rawValue: Int32(number)), let what = root["what"]?.stringValue
    else {
      self.init(.internalError, "another rank failed with a message that cannot be read: \(text)")
      return
    }
    self.init(code, what, at: root["place"]?.stringValue, hint: root["hint"]?.stringValue)
  }
}
