import Basics
import CHDF5
import Glibc

/// A file read and written by position, as plain bytes: the way around the HDF5 library for large tensors.
public struct ByteFile: ~Copyable {
  /// The path of the file.
  public let path: String
  private let descriptor: Int32

  /// A write beyond the file size limit of the process shall be an error like any other and not end the process.
  private static let limitIsAnError: Void = { _ = signal(SIGXFSZ, SIG_IGN) }()

  private init(path: String, descriptor: Int32) {
    ByteFile.limitIsAnError
    self.path = path
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  /// Opens an existing file.
  /// - Throws: code 66, 77 or 74.
  public static func open(_ path: String, writable: Bool = false) throws(Failure) -> ByteFile {
    let descriptor = Glibc.open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC)
    guard descriptor >= 0 else { throw Failure.system("open", path: path, errno: errno) }
    return ByteFile(path: path, descriptor: descriptor)
  }

  /// Makes a new file or empties an old one.
  /// - Throws: code 73 or 77.
  public static func create(_ path: String) throws(Failure) -> ByteFile {
    let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      let plain = Failure.system("open", path: path, errno: errno)
      throw Failure(plain.code == .permission ? .permission : .cannotCreate, plain.what, at: path, hint: plain.hint)
    }
    return ByteFile(path: path, descriptor: descriptor)
  }

  /// Makes a file that lies in memory; parts never written take none. Remove its name with `unlink()` once every
  /// user has opened it: it then lasts as long as they keep it open.
  /// - Throws: code 73 or 77.
  public static func createInMemory() throws(Failure) -> ByteFile {
    // Not memfd_create: the HDF5 library opens files by a path that must exist.
    var path = Array("/dev/shm/sslmpi-XXXXXX".utf8CString)
    let descriptor = mkstemp(&path)
    guard descriptor >= 0 else { throw Failure.system("mkstemp", path: "/dev/shm", errno: errno) }
    return ByteFile(
      path: String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self), descriptor: descriptor)
  }

  /// Removes the name of the file; its bytes stay until it is closed.
  public func unlink() { Glibc.unlink(path) }

  /// The size of the file in bytes.
  /// - Throws: code 74.
  public func length() throws(Failure) -> Int {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw Failure.system("stat", path: path, errno: errno) }
    return Int(status.st_size)
  }

  /// Writes bytes at a position, all of them.
  /// - Throws: code 74 with a hint when the disk, the quota or the file size limit is used up.
  public func write(_ bytes: UnsafeRawBufferPointer, at position: Int) throws(Failure) {
    var done = 0
    while done < bytes.count {
      let count = pwrite(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(position + done))
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw failure("write", count < 0 ? errno : EIO) }
      done += count
    }
  }

  /// Writes a byte array at a position.
  /// - Throws: as above.
  public func write(_ bytes: [UInt8], at position: Int) throws(Failure) {
    try bytes.withUnsafeBufferPointer { bytes throws(Failure) in try write(UnsafeRawBufferPointer(bytes), at: position)
    }
  }

  /// Fills `bytes` from a position.
  /// - Throws: code 65 when the file ends before, code 74 when the disk fails.
  public func read(_ bytes: UnsafeMutableRawBufferPointer, at position: Int) throws(Failure) {
    var done = 0
    while done < bytes.count {
      let count = pread(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(position + done))
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw failure("read", errno) }
      guard count > 0 else {
        throw Failure(.badData, "the file ends at byte \(position + done) and should go on", at: path)
      }
      done += count
    }
  }

  /// `count` bytes from a position.
  /// - Throws: code 65 when the file ends before, code 74 when the disk fails.
  public func bytes(_ count: Int, at position: Int) throws(Failure) -> [UInt8] {
    var failure: Failure?
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      do throws(Failure) {
        try read(UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]), at: position)
        filled = count
      } catch { failure = error }
    }
    if let failure { throw failure }
    return bytes
  }

  /// Makes the file exactly `length` bytes long.
  /// - Throws: code 74.
  public func truncate(_ length: Int) throws(Failure) {
    guard ftruncate(descriptor, off_t(length)) == 0 else { throw failure("ftruncate", errno) }
  }

  /// Takes the disk space of the first `length` bytes now, where the file system can, so that it cannot run out later.
  /// - Throws: code 74 with a hint.
  public func allocate(_ length: Int) throws(Failure) {
    guard length > 0 else { return }
    while chdf5_allocate(descriptor, off_t(length)) != 0 {
      switch errno {
      case EINTR: continue
      // NFS 3 and others cannot; the writes will tell.
      case EOPNOTSUPP, ENOSYS, EINVAL: return
      default: throw failure("fallocate", errno)
      }
    }
  }

  /// Brings all written bytes to the disk.
  /// - Throws: code 74.
  public func sync() throws(Failure) {
    guard fsync(descriptor) == 0 else { throw failure("fsync", errno) }
  }

  /// Asks the system to forget its copy in memory, so that the next read comes from the disk.
  public func forgetCached() { posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) }

  private func failure(_ call: String, _ number: Int32) -> Failure {
    let plain = Failure.system(call, path: path, errno: number)
    guard number == EFBIG else { return plain }
    return Failure(
      .ioError, plain.what, at: path, hint: "the file size limit of this job is too small: see `ulimit -f`")
  }
}
