import Basics
import CHDF5
import Glibc
import Messaging
import Synchronization

/// The one door to the HDF5 library.
///
/// Debian's parallel HDF5 is not thread-safe, so every call happens inside `HDF5Gate.run`, under one lock of the
/// process. Calls on a file opened through MPI-IO talk to other ranks; they are handed to the communication thread,
/// which takes the same lock. A caller that holds the lock for a serial file waits for no other rank, so the lock
/// cannot close a circle. The gate is not entered twice by one thread: public calls enter it, nothing below them does.
enum HDF5Gate {
  private static let isReady = Mutex(false)

  /// Runs library calls, on the communication thread when `communicator` is given.
  static func run<R: Sendable>(
    on communicator: Communicator? = nil, _ body: () throws(Failure) -> R
  ) throws(Failure) -> R {
    guard let communicator else { return try locked(body).get() }
    return try communicator.onCommunicationThread { () throws(Failure) -> R in try locked(body).get() }
  }

  private static func locked<R: Sendable>(_ body: () throws(Failure) -> R) -> Result<R, Failure> {
    isReady.withLock { ready in
      if !ready {
        _ = H5open()
        _ = chdf5_silence()
        ready = true
      }
      return Result(catching: body)
    }
  }
}

extension Failure {
  /// A failed HDF5 call with the library's own words; call it inside the gate.
  static func hdf5(_ call: String, _ code: ExitCode, path: String, name: String? = nil) -> Failure {
    let text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
      guard let base = buffer.baseAddress else { return "" }
      chdf5_take_error(base)
      return String(cString: base)
    }
    let reason = text.isEmpty ? "" : ": \(text)"
    let place = name.map { "\(path), \($0)" } ?? path
    return Failure(code, "HDF5 \(call) failed\(reason)", at: place)
  }
}
