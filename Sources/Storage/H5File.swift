import Basics
import CHDF5
import Messaging

/// An open HDF5 file.
///
/// Files are laid out for other programs too: HDF5 1.10, h5py and h5dump read them, names are plain paths, and no
/// time of creation is stored, so equal content gives equal bytes.
/// A file is closed by `close()`, never by going out of scope: closing a parallel file is collective.
public final class H5File: @unchecked Sendable {
  /// The path of the file.
  public let path: String
  /// The ranks that opened the file together; nil for a serial file.
  let communicator: Communicator?
  private let handle: hid_t
  private var isOpen = true

  private init(path: String, handle: hid_t, communicator: Communicator?) {
    self.path = path
    self.handle = handle
    self.communicator = communicator
  }

  deinit { precondition(!isOpen, "H5File: \(path) was never closed") }

  /// Starts the library where MPI calls are made, since the parallel library registers itself with MPI.
  ///
  /// Call it once after MPI is up and before the first file; later calls do nothing.
  /// - Collective: local.
  public static func startLibrary(on communicator: Communicator) throws(Failure) {
    try HDF5Gate.run(on: communicator) { () throws(Failure) in }
  }

  /// Makes a new file or empties an old one.
  /// - Parameters:
  ///   - userBlock: bytes in front of the file that the library leaves alone: 0 or a power of two from 512.
  ///   - alignment: datasets of 64 KiB and more begin at a multiple of it; 1 packs them.
  /// - Throws: code 73 when the file cannot be made.
  /// - Collective: local.
  public static func create(_ path: String, userBlock: Int = 0, alignment: Int = 1) throws(Failure) -> H5File {
    let handle = try HDF5Gate.run { () throws(Failure) -> hid_t in
      let creation = H5Pcreate(chdf5_file_creation())
      defer { H5Pclose(creation) }
      H5Pset_userblock(creation, hsize_t(userBlock))
      H5Pset_obj_track_times(creation, false)
      let access = accessProperties()
      defer { H5Pclose(access) }
      H5Pset_alignment(access, 65536, hsize_t(alignment))
      let handle = H5Fcreate(path, chdf5_truncate(), creation, access)
      guard handle >= 0 else { throw Failure.hdf5("create", .cannotCreate, path: path) }
      return handle
    }
    return H5File(path: path, handle: handle, communicator: nil)
  }

  /// Opens a file of which this process is the only user.
  /// - Throws: code 66 when there is no such file, code 65 when it is no HDF5 file or damaged.
  /// - Collective: local.
  public static func open(_ path: String, writable: Bool = false) throws(Failure) -> H5File {
    try requireExistence(of: path)
    let handle = try HDF5Gate.run { () throws(Failure) -> hid_t in
      let access = accessProperties()
      defer { H5Pclose(access) }
      let handle = H5Fopen(path, writable ? chdf5_read_write() : chdf5_read_only(), access)
      guard handle >= 0 else { throw Failure.hdf5("open", .badData, path: path) }
      return handle
    }
    return H5File(path: path, handle: handle, communicator: nil)
  }

  /// Opens an existing file for reading and writing by all ranks through MPI-IO.
  /// - Throws: on every rank when it fails on one.
  /// - Collective: all ranks of `communicator`; so is every later call on the file, `close()` included.
  public static func openParallel(_ path: String, communicator: Communicator) throws(Failure) -> H5File {
    let handle = try communicator.agreed { () throws(Failure) -> hid_t in
      try HDF5Gate.run(on: communicator) { () throws(Failure) -> hid_t in
        let access = accessProperties()
        defer { H5Pclose(access) }
        guard chdf5_use_mpio(access, UnsafeMutableRawPointer(communicator.rawHandle)) >= 0 else {
          throw Failure.hdf5("set MPI-IO", .unavailable, path: path)
        }
        let handle = H5Fopen(path, chdf5_read_write(), access)
        guard handle >= 0 else { throw Failure.hdf5("open", .badData, path: path) }
        return handle
      }
    }
    return H5File(path: path, handle: handle, communicator: communicator)
  }

  /// Writes everything out and closes the file.
  ///
  /// After a close that failed on a full disk, HDF5 1.10 crashes when the process ends. A large file is therefore
  /// better made by `H5Skeleton`, which keeps the disk away from the library.
  /// - Throws: code 74 when the last bytes could not be written.
  /// - Collective: the ranks that opened it.
  public func close() throws(Failure) {
    guard isOpen else { return }
    isOpen = false
    try HDF5Gate.run(on: communicator) { () throws(Failure) -> Void in
      // A close that failed is not tried again: the library has let go of half of the file.
      guard H5Fclose(handle) >= 0 else { throw Failure.hdf5("close", .ioError, path: path) }
    }
  }

  /// Runs library calls on the file inside the gate.
  func use<R: Sendable>(_ body: (hid_t) throws(Failure) -> R) throws(Failure) -> R {
    precondition(isOpen, "H5File: \(path) is closed")
    return try HDF5Gate.run(on: communicator) { () throws(Failure) -> R in try body(handle) }
  }

  /// New-format objects that HDF5 1.8 to 1.10 read; no file locks, which parallel file systems often refuse.
  private static func accessProperties() -> hid_t {
    let access = H5Pcreate(chdf5_file_access())
    H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V110)
    H5Pset_file_locking(access, false, true)
    return access
  }
}
