import Glibc
import Synchronization

/// A block of floats, 64-byte aligned, that returns to the pool when its last tensor goes.
public final class Storage: @unchecked Sendable {
  /// The first float.
  public let base: UnsafeMutablePointer<Float>
  /// The number of floats that the block was asked to hold.
  public let capacity: Int
  private let origin: Origin

  private enum Origin {
    case pool(PooledSize)
    case mapping(bytes: Int)
    case owner(AnyObject)
  }

  /// A block of the pool for `count` floats, holding whatever it held before.
  public init(count: Int) {
    let size = PooledSize(bytes: count * MemoryLayout<Float>.stride)
    base = StoragePool.take(size).assumingMemoryBound(to: Float.self)
    capacity = count
    origin = .pool(size)
  }

  /// Memory of somebody else, who is kept alive as long as this block.
  /// - Parameters:
  ///   - base: 64-byte aligned.
  public init(_ base: UnsafeMutablePointer<Float>, count: Int, of owner: AnyObject) {
    precondition(UInt(bitPattern: base) % 64 == 0, "Storage: memory at \(base) is not aligned")
    self.base = base
    capacity = count
    origin = .owner(owner)
  }

  private init(mapping base: UnsafeMutableRawPointer, bytes: Int, count: Int) {
    self.base = base.assumingMemoryBound(to: Float.self)
    capacity = count
    origin = .mapping(bytes: bytes)
  }

  /// A zeroed block of its own outside the pool, for the arenas that live as long as the run.
  public static func unpooled(_ count: Int) -> Storage {
    let bytes = max(count * MemoryLayout<Float>.stride, 1).roundedUp(to: Pages.huge)
    return Storage(mapping: Pages.map(bytes: bytes), bytes: bytes, count: count)
  }

  deinit {
    switch origin {
    case .pool(let size): StoragePool.give(base, size)
    case .mapping(let bytes): munmap(base, bytes)
    case .owner: break
    }
  }
}

/// The memory that tensors come from and go back to.
///
/// Small blocks have free lists by size, large ones are cut from whatever is free and grow together again. Memory lies
/// on transparent huge pages and is not returned to the system until `releaseFree`, so a training step that repeats
/// takes no memory and no page faults from the system after its second run.
public enum StoragePool {
  /// Bytes ever taken from the system.
  public static var bytesFromSystem: Int { state.withLock { $0.bytesFromSystem } }
  /// How often a block was cut from fresh memory instead of a free list.
  public static var systemAllocations: Int { state.withLock { $0.systemAllocations } }
  /// Bytes that tensors hold now.
  public static var bytesInUse: Int { state.withLock { $0.bytesInUse } }
  /// The most bytes that tensors held at one time since the program began, or since `restartPeak`.
  public static var peakBytes: Int { state.withLock { $0.peakBytes } }

  private struct State: @unchecked Sendable {
    var free = [[UnsafeMutableRawPointer]](repeating: [], count: SizeClass.count)
    var fresh: UnsafeMutableRawPointer?
    var freshBytes = 0
    var extents = FreeExtents()
    /// What was never used of the newest segment.
    var segmentRest = FreeExtents.Extent(start: 0, bytes: 0)
    var bytesFromSystem = 0
    var systemAllocations = 0
    var bytesInUse = 0
    var peakBytes = 0

    /// The address of a block.
    mutating func take(_ size: PooledSize) -> UInt {
      bytesInUse += size.bytes
      peakBytes = max(peakBytes, bytesInUse)
      switch size {
      case .small(let sizeClass): return UInt(bitPattern: takeSmall(sizeClass))
      case .large(let bytes): return extents.take(bytes) ?? takeFresh(bytes)
      }
    }

    mutating func give(_ address: UInt, _ size: PooledSize) {
      bytesInUse -= size.bytes
      switch size {
      case .small(let sizeClass): free[sizeClass].append(UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped)
      case .large(let bytes): extents.give(.init(start: address, bytes: bytes))
      }
    }

    /// A large block from memory that was never used, and from what is free right below it.
    private mutating func takeFresh(_ bytes: Int) -> UInt {
      systemAllocations += 1
      var below = extents.take(endingAt: segmentRest.start) ?? .init(start: segmentRest.start, bytes: 0)
      if below.bytes + segmentRest.bytes < bytes {
        for rest in [below, segmentRest] { extents.give(rest) }
        bytesFromSystem += segmentRest.bytes
        let segment = max(bytes.roundedUp(to: Pages.huge), StoragePool.segment)
        segmentRest = .init(start: UInt(bitPattern: Pages.map(bytes: segment)), bytes: segment)
        below = .init(start: segmentRest.start, bytes: 0)
      }
      let grown = bytes - below.bytes
      bytesFromSystem += grown
      segmentRest = .init(start: segmentRest.start + UInt(grown), bytes: segmentRest.bytes - grown)
      return below.start
    }

    private mutating func takeSmall(_ sizeClass: Int) -> UnsafeMutableRawPointer {
      let bytes = SizeClass.bytes(sizeClass)
      if let block = free[sizeClass].popLast() { return block }
      systemAllocations += 1
      bytesFromSystem += bytes
      if freshBytes < bytes { startChunk() }
      guard let block = fresh else { preconditionFailure("StoragePool: no chunk") }
      fresh = block + bytes
      freshBytes -= bytes
      return block
    }

    /// The rest of the old chunk goes to the free lists, the largest blocks first.
    private mutating func startChunk() {
      while let rest = fresh, freshBytes >= SizeClass.bytes(0) {
        let sizeClass = SizeClass.indexBelow(bytes: freshBytes)
        free[sizeClass].append(rest)
        fresh = rest + SizeClass.bytes(sizeClass)
        freshBytes -= SizeClass.bytes(sizeClass)
      }
      fresh = Pages.map(bytes: StoragePool.chunk)
      freshBytes = StoragePool.chunk
    }
  }

  /// Lets `peakBytes` begin again at what tensors hold now, for the measure of one piece of work.
  public static func restartPeak() {
    state.withLock { $0.peakBytes = $0.bytesInUse }
  }

  /// Gives the memory of all free blocks back to the system; they take it again when they are next used.
  ///
  /// For the end of work whose tensors had other sizes than those to come.
  public static func releaseFree() {
    state.withLock { state in
      for (sizeClass, blocks) in state.free.enumerated() {
        for block in blocks { Pages.release(block, bytes: SizeClass.bytes(sizeClass)) }
      }
      for extent in state.extents.extents {
        guard let start = UnsafeMutableRawPointer(bitPattern: extent.start) else { continue }
        Pages.release(start, bytes: extent.bytes)
      }
    }
  }

  /// What small blocks are cut from.
  static let chunk = 32 << 20
  /// What large blocks are cut from, at least; of this much address space only what is used takes memory.
  static let segment = 256 << 20
  private static let state = Mutex(State())

  static func take(_ size: PooledSize) -> UnsafeMutableRawPointer {
    // The address is the only thing that leaves the lock.
    UnsafeMutableRawPointer(bitPattern: state.withLock { $0.take(size) }).unsafelyUnwrapped
  }

  static func give(_ block: UnsafeMutableRawPointer, _ size: PooledSize) {
    let address = UInt(bitPattern: block)
    state.withLock { $0.give(address, size) }
  }
}

/// How much the pool sets aside for a block.
enum PooledSize {
  case small(sizeClass: Int)
  case large(bytes: Int)

  /// From here on blocks are cut to whole pages.
  private static let largeBytes = 1 << 20

  init(bytes: Int) {
    self =
      bytes < Self.largeBytes
      ? .small(sizeClass: SizeClass.index(bytes: bytes)) : .large(bytes: bytes.roundedUp(to: Pages.page))
  }

  var bytes: Int {
    switch self {
    case .small(let sizeClass): SizeClass.bytes(sizeClass)
    case .large(let bytes): bytes
    }
  }
}

/// Sizes of small blocks: 32 steps an octave from 256 bytes on, so at most a 32nd is wasted.
enum SizeClass {
  private static let steps = 32
  static let count = steps * 34

  static func bytes(_ index: Int) -> Int {
    ((256 << (index / steps)) / steps * (steps + index % steps)).roundedUp(to: 64)
  }

  /// The smallest class that holds `bytes`.
  static func index(bytes: Int) -> Int {
    guard bytes > 256 else { return 0 }
    let octave = Int.bitWidth - 1 - bytes.leadingZeroBitCount - 8
    let first = octave * steps
    return (first...first + steps).first { self.bytes($0) >= bytes } ?? first + steps
  }

  /// The largest class that fits into `bytes`, at least 256.
  static func indexBelow(bytes: Int) -> Int {
    let index = index(bytes: bytes)
    return self.bytes(index) > bytes ? index - 1 : index
  }
}

/// Memory from the system.
enum Pages {
  static let huge = 2 << 20

  /// Zeroed memory aligned to huge pages.
  static func map(bytes: Int) -> UnsafeMutableRawPointer {
    let whole = mmap(nil, bytes + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let whole, whole != MAP_FAILED else {
      fatalError("no memory: mmap of \(bytes) bytes failed: \(String(cString: strerror(errno)))")
    }
    let skip = UInt(bitPattern: whole).roundedUp(to: UInt(huge)) - UInt(bitPattern: whole)
    let base = whole + Int(skip)
    if skip > 0 { munmap(whole, Int(skip)) }
    if Int(skip) < huge { munmap(base + bytes, huge - Int(skip)) }
    madvise(base, bytes, Int32(MADV_HUGEPAGE))
    return base
  }
}

extension Pages {
  static let page = 4096

  /// Gives the whole pages of a block back; what they held is lost.
  static func release(_ base: UnsafeMutableRawPointer, bytes: Int) {
    let start = UInt(bitPattern: base).roundedUp(to: UInt(page))
    let end = (UInt(bitPattern: base) + UInt(bytes)) / UInt(page) * UInt(page)
    guard end > start, let first = UnsafeMutableRawPointer(bitPattern: start) else { return }
    madvise(first, Int(end - start), MADV_DONTNEED)
  }
}

extension BinaryInteger {
  func roundedUp(to step: Self) -> Self { (self + step - 1) / step * step }
}
