import Basics
import CMPI
import Glibc

/// Sums of floats over all ranks through memory that the ranks of a node share.
///
/// The array is cut into as many shares as the smallest node has ranks; that many ranks of every node, the lanes, each
/// add one share. A rank copies what belongs to other lanes into the window, each lane adds the ranks of its node in
/// rank order, over several nodes the lanes of one share then call `MPI_Allreduce` on it, and everybody takes the sums
/// from the window. Only pieces that stay in the cache are on their way at a time, so that an array passes through
/// main memory once. All cores of a node and all lanes across nodes work at the same time; one leader a node would
/// leave the others idle. Arrays that lie in a `NodeMemory` need no copies: lanes add them where they lie, and the sums
/// are read where they were added.
///
/// One rank adds each value, in rank order: the sums repeat bit for bit and are the same on all ranks. With two ranks
/// on one node they are those of `MPI_Allreduce`.
final class WindowSum {
  /// Turns of a waiting loop before it offers its core to others, about 20 microseconds.
  private static let spins = 400
  /// Offers before it sleeps, which take as long as a sleep where nobody wants the core. A sleep takes longer than
  /// the pieces of the lead: without offers one late rank sends the others to sleep in turn, piece after piece.
  private static let offers = 400
  private static let shortestSleep = 20
  private static let longestSleep = 200
  /// The floats that are added at a time when there are more than two ranks: they stay in the first cache.
  private static let blockFloats = 1024

  private let memory: SharedMemory
  private let window: NodeWindow
  private let ranks: WindowRanks
  private let place: String
  private let block = UnsafeMutablePointer<Float>.allocate(capacity: blockFloats)
  /// The pieces dealt with so far; the same on all ranks.
  private var passed = 0

  /// Makes the window on every rank, or on none.
  /// - Parameters:
  ///   - ranksPerWindow: how many ranks of a node share a window; nil for all.
  ///   - pieceFloats: the size of a piece; nil for what suits the cache.
  /// - Throws: what the MPI library reported.
  /// - Collective: all ranks of `world`.
  static func open(
    world: MPI_Comm, node: MPI_Comm, place: String, ranksPerWindow: Int?, pieceFloats: Int?
  ) throws(Failure) -> WindowOutcome {
    let ranks = try WindowRanks(world: world, node: node, ranksPerWindow: ranksPerWindow, place: place)
    guard ranks.isWorthwhile else {
      ranks.free()
      return .pointless
    }
    let piece = pieceFloats ?? NodeWindow.pieceFloats(lanes: ranks.lanes)
    let bytes = NodeWindow.bytesPerRank(lanes: ranks.lanes, pieceFloats: piece)
    switch try SharedMemory.openEverywhere(bytesPerRank: bytes, world: world, ranks, place: place) {
    case .open(let memory):
      return .open(
        WindowSum(memory, NodeWindow(base: memory.base, lanes: ranks.lanes, pieceFloats: piece), ranks, place))
    case .refused(let failure):
      ranks.free()
      return .refused(failure)
    }
  }

  /// Makes memory for floats of each rank whose sums need no copies, on every rank or on none.
  /// - Throws: what the MPI library reported.
  /// - Collective: all ranks of `world`, which is the one that the window was opened with.
  func share(parts: [Range<Int>], world: MPI_Comm) throws(Failure) -> NodeMemoryOutcome {
    let count = parts.map(\.upperBound).max() ?? 0
    let bytes = NodeMemory.bytesPerRank(count: count)
    let memory: SharedMemory
    switch try SharedMemory.openEverywhere(bytesPerRank: bytes, world: world, ranks, place: place) {
    case .open(let opened): memory = opened
    case .refused(let failure): return .refused(failure)
    }
    let shares = SumShares(parts: parts, lanes: window.lanes, inTurns: ranks.nodes == 1)
    let mapped = memory.view(of: NodeMemory.view(of: shares, count: count))
    switch try SharedMemory.everywhere(mapped, bytes: bytes, world: world, place: place) {
    case .open(let view): return .open(NodeMemory(memory, view, count: count, shares, rank: ranks.rank, self))
    case .refused(let failure):
      memory.unmap()
      return .refused(failure)
    }
  }

  private init(_ memory: SharedMemory, _ window: NodeWindow, _ ranks: WindowRanks, _ place: String) {
    self.memory = memory
    self.window = window
    self.ranks = ranks
    self.place = place
  }

  deinit { block.deallocate() }

  /// Gives memory and communicators back. Collective.
  func close() {
    memory.unmap()
    ranks.free()
  }

  // MARK: one sum

  /// Replaces each value by its sum over all ranks, and returns when that is so here.
  /// - Throws: what the MPI library reported.
  /// - Collective: all ranks, with the same `count`.
  func add(_ values: UnsafeMutablePointer<Float>, count: Int, chunkBytes: Int) throws(Failure) {
    let cut = WindowCut(count: count, lanes: window.lanes, pieceFloats: window.pieceFloats)
    let pieces = cut.pieces
    if ranks.nodes == 1 {
      for turn in 0..<pieces + 2 {
        if turn < pieces { try fill(turn, cut, values) }
        if (1...pieces).contains(turn) {
          try addPiece(turn - 1, cut, values)
          try giveBack(turn - 1, cut, values)
        }
        if turn >= 2 { try take(turn - 2, cut, values) }
      }
    } else {
      for turn in 0...pieces {
        if turn < pieces { try fill(turn, cut, values) }
        if turn > 0 { try addPiece(turn - 1, cut, values) }
      }
      if let lane = ranks.lane {
        try addAcrossNodes(cut.share(of: ranks.rank), values, lane, chunk: max(1, chunkBytes / 4))
      }
      for turn in 0...pieces {
        if turn < pieces { try giveBack(turn, cut, values) }
        if turn > 0 { try take(turn - 1, cut, values) }
      }
    }
    passed += pieces
  }

  /// Sums a part of `memory` over all ranks, and returns when all of `memory.sums` in it are there.
  ///
  /// Every lane adds its share over its own floats. The counters rise as for an array of one piece, which needs no
  /// slots.
  /// - Throws: what the MPI library reported.
  /// - Collective: all ranks, with the same `range`.
  func add(_ memory: NodeMemory, _ range: Range<Int>, chunkBytes: Int) throws(Failure) {
    try requireOwn(memory)
    report(.filled, passed + 1)
    try wait(for: .filled, of: 0..<ranks.count, toReach: passed + 1)
    if addsAShare {
      for share in memory.shares.elements(of: ranks.rank, in: range) {
        if ranks.count > 1 { memory.add(share) }
        if let lane = ranks.lane { try addAcrossNodes(share, memory.floats, lane, chunk: max(1, chunkBytes / 4)) }
      }
      report(.added, passed + 1)
      report(.returned, passed + 1)
    }
    try wait(for: .returned, of: 0..<window.lanes, toReach: passed + 1)
    report(.taken, passed + 1)
    passed += 1
  }

  /// Returns when every rank of the node has released the sums of `memory` so often.
  /// - Throws: what the MPI library reported.
  /// - Collective: the ranks of each node.
  func waitForReaders(of memory: NodeMemory, releases: Int) throws(Failure) {
    try requireOwn(memory)
    for other in 0..<ranks.count where other != ranks.rank {
      try wait(for: memory.counter(of: other), toReach: releases)
    }
  }

  private func requireOwn(_ memory: NodeMemory) throws(Failure) {
    guard memory.window === self else {
      throw Failure(.internalError, "a sum in memory of a window that was closed", at: place)
    }
  }

  private var addsAShare: Bool { ranks.rank < window.lanes }

  /// Hands this rank's values of a piece to the lanes that add them.
  private func fill(_ piece: Int, _ cut: WindowCut, _ values: UnsafeMutablePointer<Float>) throws(Failure) {
    let number = passed + piece
    // The slot is free when its last content has been added.
    try wait(for: .added, of: 0..<window.lanes, toReach: number - NodeWindow.depth + 1)
    for lane in 0..<window.lanes where lane != ranks.rank {
      let range = cut.piece(piece, of: lane)
      cmpi_copy(
        window.input(number, from: ranks.rank, to: lane), values + range.lowerBound, Int64(range.count), nil)
    }
    report(.filled, number + 1)
  }

  /// Adds this lane's piece over the ranks of the node, in rank order.
  private func addPiece(_ piece: Int, _ cut: WindowCut, _ values: UnsafeMutablePointer<Float>) throws(Failure) {
    guard addsAShare else { return }
    let number = passed + piece
    try wait(for: .filled, of: 0..<ranks.count, toReach: number + 1)
    let range = cut.piece(piece, of: ranks.rank)
    let own = values + range.lowerBound
    let next = values + cut.piece(piece + 1, of: ranks.rank).lowerBound
    for start in stride(from: 0, to: ranks.count > 1 ? range.count : 0, by: Self.blockFloats) {
      let length = min(Self.blockFloats, range.count - start)
      // The partial sums stay apart from `own`, which is itself one of the terms, until the last one.
      var sum: UnsafePointer<Float> = source(0, number, own) + start
      for other in 1..<ranks.count {
        let last = other == ranks.count - 1
        let target = last ? own + start : block
        cmpi_add(target, sum, source(other, number, own) + start, Int64(length), last ? next + start : nil)
        sum = UnsafePointer(target)
      }
    }
    report(.added, number + 1)
  }

  /// Where the values of a rank for this lane's piece stand.
  private func source(_ from: Int, _ number: Int, _ own: UnsafeMutablePointer<Float>) -> UnsafePointer<Float> {
    UnsafePointer(from == ranks.rank ? own : window.input(number, from: from, to: ranks.rank))
  }

  /// Puts the sum of this lane's piece where the other ranks find it.
  private func giveBack(_ piece: Int, _ cut: WindowCut, _ values: UnsafeMutablePointer<Float>) throws(Failure) {
    guard addsAShare else { return }
    let number = passed + piece
    try wait(for: .taken, of: 0..<ranks.count, toReach: number - NodeWindow.depth + 1)
    let range = cut.piece(piece, of: ranks.rank)
    cmpi_copy(window.sum(number, of: ranks.rank), values + range.lowerBound, Int64(range.count), nil)
    report(.returned, number + 1)
  }

  /// Takes the sums of a piece of every other lane.
  private func take(_ piece: Int, _ cut: WindowCut, _ values: UnsafeMutablePointer<Float>) throws(Failure) {
    let number = passed + piece
    try wait(for: .returned, of: 0..<window.lanes, toReach: number + 1)
    for lane in 0..<window.lanes where lane != ranks.rank {
      let range = cut.piece(piece, of: lane)
      // What `fill` hands over next.
      let next = values + cut.piece(piece + NodeWindow.depth, of: lane).lowerBound
      cmpi_copy(values + range.lowerBound, window.sum(number, of: lane), Int64(range.count), next)
    }
    report(.taken, number + 1)
  }

  private func addAcrossNodes(
    _ share: Range<Int>, _ values: UnsafeMutablePointer<Float>, _ lane: MPI_Comm, chunk: Int
  ) throws(Failure) {
    for start in stride(from: share.lowerBound, to: share.upperBound, by: chunk) {
      let length = min(chunk, share.upperBound - start)
      try MPISession.check(
        MPI_Allreduce(cmpi_in_place(), values + start, Int32(length), cmpi_float(), cmpi_sum(), lane),
        "MPI_Allreduce", place)
    }
  }

  // MARK: counters

  private func report(_ counter: NodeWindow.Counter, _ value: Int) {
    cmpi_shared_store(window.counter(counter, of: ranks.rank), Int64(value))
  }

  /// Waits for all of `others`; this rank's own counters are in order by themselves.
  private func wait(for counter: NodeWindow.Counter, of others: Range<Int>, toReach value: Int) throws(Failure) {
    for other in others where other != ranks.rank {
      try wait(for: window.counter(counter, of: other), toReach: value)
    }
  }

  /// Waits until the counter of another rank has come to `value`.
  ///
  /// It spins briefly, then lets others have the core, then sleeps: the cores belong to the compute threads. A rank
  /// that never comes is the watchdog's business, which ends the process whatever this thread does.
  private func wait(for word: UnsafeMutablePointer<Int64>, toReach value: Int) throws(Failure) {
    var turn = 0
    while cmpi_shared_load(word) < Int64(value) {
      turn += 1
      if turn <= Self.spins {
        cmpi_pause()
        continue
      }
      if turn <= Self.spins + Self.offers {
        sched_yield()
        continue
      }
      // A peer may wait for a message that the library sends on only inside its calls.
      try MPISession.check(cmpi_progress(ranks.group), "MPI_Iprobe", place)
      let tries = turn - Self.spins - Self.offers
      usleep(UInt32(min(Self.shortestSleep * tries, Self.longestSleep)))
    }
  }
}

/// What became of a window.
enum WindowOutcome {
  case open(WindowSum)
  /// No two ranks share a node; the same on all ranks.
  case pointless
  /// A node cannot share memory; with the reason on the ranks that know one.
  case refused(Failure?)
}
