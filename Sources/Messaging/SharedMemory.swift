import Basics
import CMPI
import Glibc

/// A block of memory that all ranks of a node map.
///
/// It is a POSIX object rather than `MPI_Win_allocate_shared`, because a full /dev/shm must be an error on every rank:
/// Open MPI 4.1 leaves the other ranks waiting when its first one cannot make the file, and a file that is not backed
/// by memory kills whoever touches it later. The object has no name any more when `open` returns, so nothing is left
/// behind however the job ends.
struct SharedMemory: @unchecked Sendable {
  static let pageBytes = 4096
  private static let nameBytes = 64
  /// A limit on the size of files must be an error of the call, not a signal that ends the process.
  private static let limitIsAnError: Void = { _ = signal(SIGXFSZ, SIG_IGN) }()

  let base: UnsafeMutableRawPointer
  let bytes: Int
  /// Held open for further mappings; -1 for memory that nobody shares.
  private let file: Int32

  /// `bytes` and what is missing to whole pages.
  static func wholePages(_ bytes: Int) -> Int { (bytes + pageBytes - 1) / pageBytes * pageBytes }

  private init(base: UnsafeMutableRawPointer, bytes: Int, file: Int32 = -1) {
    self.base = base
    self.bytes = bytes
    self.file = file
  }

  /// Maps `bytesPerRank` zeros for each rank of `group`, each part on the memory node of its rank.
  /// - Parameters:
  ///   - bytesPerRank: whole pages.
  /// - Returns: what went wrong on this rank, when something did: the caller lets the ranks agree.
  /// - Throws: what the MPI library reported.
  /// - Collective: all ranks of `group`.
  private static func open(
    bytesPerRank: Int, group: MPI_Comm, rank: Int, ranks: Int, place: String
  ) throws(Failure) -> Result<SharedMemory, SystemFault> {
    limitIsAnError
    var name = [CChar](repeating: 0, count: nameBytes)
    var file: Int32 = -1
    var fault: Int32 = 0
    if rank == 0 {
      let text = "/sslmpi-\(getpid())-\(Int(monotonicSeconds() * 1e9))"
      for (index, byte) in text.utf8.prefix(nameBytes - 1).enumerated() { name[index] = CChar(bitPattern: byte) }
      file = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0o600)
      if file < 0 || ftruncate(file, bytesPerRank * ranks) != 0 { fault = errno }
    }
    try MPISession.check(MPI_Bcast(&name, Int32(nameBytes), cmpi_byte(), 0, group), "MPI_Bcast", place)
    if rank != 0 {
      file = shm_open(name, O_RDWR, 0)
      if file < 0 { fault = errno }
    }
    // Each rank takes the pages of its own part: they lie close to it, and a full memory shows here and not later.
    if fault == 0 { fault = posix_fallocate(file, rank * bytesPerRank, bytesPerRank) }
    var base: UnsafeMutableRawPointer?
    if fault == 0 {
      base = mmap(nil, bytesPerRank * ranks, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
      if base == MAP_FAILED { fault = errno }
    }
    try MPISession.check(MPI_Barrier(group), "MPI_Barrier", place)
    if rank == 0 { shm_unlink(name) }
    guard fault == 0, let base else {
      if file >= 0 { close(file) }
      return .failure(SystemFault(number: fault))
    }
    return .success(SharedMemory(base: base, bytes: bytesPerRank * ranks, file: file))
  }

  /// Maps zeros for this rank alone, on large pages where the system has them.
  static func alone(bytes: Int) -> Result<SharedMemory, SystemFault> {
    let whole = wholePages(max(bytes, 1))
    let base = mmap(nil, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let base, base != MAP_FAILED else { return .failure(SystemFault(number: errno)) }
    madvise(base, whole, Int32(MADV_HUGEPAGE))
    return .success(SharedMemory(base: base, bytes: whole))
  }

  func unmap() {
    munmap(base, bytes)
    if file >= 0 { close(file) }
  }

  /// Maps parts of this memory a second time, one behind the other, to be read.
  /// - Parameters:
  ///   - parts: bytes of this memory, whole pages each.
  func view(of parts: [Range<Int>]) -> Result<SharedMemory, SystemFault> {
    let total = max(parts.reduce(0) { $0 + $1.count }, Self.pageBytes)
    let base = mmap(nil, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let base, base != MAP_FAILED else { return .failure(SystemFault(number: errno)) }
    var start = 0
    for part in parts where !part.isEmpty {
      let mapped = mmap(base + start, part.count, PROT_READ, MAP_SHARED | MAP_FIXED, file, part.lowerBound)
      guard mapped != MAP_FAILED else {
        let fault = SystemFault(number: errno)
        munmap(base, total)
        return .failure(fault)
      }
      start += part.count
    }
    return .success(SharedMemory(base: base, bytes: total))
  }

  /// What helps where sums have no room.
  static let sumsByMPI = "set runtime.comm.allreduce=mpi"

  /// The same on every node, or on none; ordinary memory where no two ranks share a node.
  /// - Parameters:
  ///   - remedy: what a user can do beside making room.
  /// - Collective: all ranks of `world`.
  static func openEverywhere(
    bytesPerRank: Int, world: MPI_Comm, _ ranks: WindowRanks, place: String, remedy: String = sumsByMPI
  ) throws(Failure) -> SharedMemoryOutcome {
    let opened =
      ranks.isWorthwhile
      ? try open(bytesPerRank: bytesPerRank, group: ranks.group, rank: ranks.rank, ranks: ranks.count, place: place)
      : alone(bytes: bytesPerRank)
    return try everywhere(opened, bytes: bytesPerRank * ranks.count, world: world, place: place, remedy: remedy)
  }

  /// What every rank has got, or nothing on any of them.
  /// - Parameters:
  ///   - bytes: what a message names.
  /// - Collective: all ranks of `world`.
  static func everywhere(
    _ opened: Result<SharedMemory, SystemFault>, bytes: Int, world: MPI_Comm, place: String,
    remedy: String = sumsByMPI
  ) throws(Failure) -> SharedMemoryOutcome {
    let memory = try? opened.get()
    var everywhere: Int32 = memory == nil ? 0 : 1
    try MPISession.check(
      MPI_Allreduce(cmpi_in_place(), &everywhere, 1, cmpi_int32(), cmpi_min(), world), "MPI_Allreduce", place)
    if everywhere == 1, let memory { return .open(memory) }
    memory?.unmap()
    if case .failure(let fault) = opened {
      return .refused(.sharedMemory(bytes: bytes, fault, remedy: remedy))
    }
    return .refused(nil)
  }
}

/// What became of memory that the ranks of every node were to share.
enum SharedMemoryOutcome {
  case open(SharedMemory)
  /// A node cannot share so much; with the reason on the ranks that know one.
  case refused(Failure?)
}

/// The number of a system call's error.
struct SystemFault: Error {
  let number: Int32
}

extension Failure {
  /// Memory that the ranks of a node were to share, or of a rank that is alone there.
  static func sharedMemory(bytes: Int, _ fault: SystemFault, remedy: String) -> Failure {
    let mebibytes = (Double(bytes) / 1_048_576 * 10).rounded() / 10
    return Failure(
      .unavailable,
      "\(mebibytes) MiB of memory shared by the ranks of a node cannot be had: "
        + String(cString: strerror(fault.number)),
      at: "/dev/shm",
      hint: "enlarge /dev/shm (containers: --shm-size=1g, --ipc=host), or \(remedy)")
  }
}
