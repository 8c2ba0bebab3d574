import Basics
import CMPI

/// Moves of bytes among the ranks of an MPI communicator, on the communication thread.
struct RankExchange {
  private static let tag: Int32 = 7

  let communicator: MPI_Comm
  let rank: Int
  let size: Int
  let place: String

  /// The blocks of all ranks, one after the other; without `source` this rank's block stands in its place already.
  /// - Collective: all ranks, with the same `bytes`.
  func allGather(
    _ source: UnsafeRawPointer?, bytes: [Int], into target: UnsafeMutableRawPointer, chunk: Int, _ traffic: Traffic?
  ) throws(Failure) {
    var starts: [Int] = []
    var total = 0
    for count in bytes {
      starts.append(total)
      total += count
    }
    traffic?.count(sent: bytes.map { _ in bytes[rank] }, received: bytes, rank: rank)
    if total <= chunk {
      try MPISession.check(
        MPI_Allgatherv(
          source ?? cmpi_in_place(), Int32(bytes[rank]), cmpi_byte(), target, bytes.map(Int32.init),
          starts.map(Int32.init), cmpi_byte(), communicator),
        "MPI_Allgatherv", place)
      return
    }
    // Too much for 32-bit displacements: each rank's block in turn.
    if let source { (target + starts[rank]).copyMemory(from: source, byteCount: bytes[rank]) }
    for root in 0..<size {
      for start in stride(from: 0, to: bytes[root], by: chunk) {
        try MPISession.check(
          MPI_Bcast(
            target + starts[root] + start, Int32(min(chunk, bytes[root] - start)), cmpi_byte(), Int32(root),
            communicator),
          "MPI_Bcast", place)
      }
    }
  }

  /// Gives each rank its number and takes one from each.
  func exchange(_ numbers: NumberExchange, _ traffic: Traffic?) throws(Failure) {
    let lengths = [Int](repeating: MemoryLayout<Int64>.size, count: size)
    traffic?.count(sent: lengths, received: lengths, rank: rank)
    let code = numbers.outgoing.withUnsafeBufferPointer { outgoing in
      numbers.incoming.withUnsafeMutableBufferPointer { incoming in
        MPI_Alltoall(
          outgoing.baseAddress, 1, cmpi_int64(), incoming.baseAddress, 1, cmpi_int64(), communicator)
      }
    }
    try MPISession.check(code, "MPI_Alltoall", place)
  }

  /// Gives each rank its bytes and takes those of each, in messages from rank to rank: both know the length, so nobody
  /// has to agree about slices, and ranks that have nothing for each other do not meet.
  func exchange(_ exchange: ByteExchange, chunk: Int, _ traffic: Traffic?) throws(Failure) {
    traffic?.count(sent: exchange.sendBytes, received: exchange.receiveBytes, rank: rank)
    let (sources, targets) = (exchange.starts(of: exchange.sendBytes), exchange.starts(of: exchange.receiveBytes))
    precondition(
      exchange.sendBytes[rank] == exchange.receiveBytes[rank], "exchange: a rank sends itself something else")
    if exchange.sendBytes[rank] > 0 {
      (exchange.target + targets[rank]).copyMemory(
        from: exchange.source + sources[rank], byteCount: exchange.sendBytes[rank])
    }
    var requests: [MPI_Request?] = []
    var failure: Failure?
    // Each rank begins with its neighbour, so that not all of them send to rank 0 first.
    for step in 1..<max(size, 1) {
      let (from, to) = ((rank + size - step) % size, (rank + step) % size)
      for start in stride(from: 0, to: exchange.receiveBytes[from], by: chunk) where failure == nil {
        var request: MPI_Request?
        let code = MPI_Irecv(
          exchange.target + targets[from] + start, Int32(min(chunk, exchange.receiveBytes[from] - start)),
          cmpi_byte(), Int32(from), Self.tag, communicator, &request)
        if code != cmpi_success() {
          failure = .mpi("MPI_Irecv", code: code, place: place)
        } else {
          requests.append(request)
        }
      }
      for start in stride(from: 0, to: exchange.sendBytes[to], by: chunk) where failure == nil {
        var request: MPI_Request?
        let code = MPI_Isend(
          exchange.source + sources[to] + start, Int32(min(chunk, exchange.sendBytes[to] - start)), cmpi_byte(),
          Int32(to), Self.tag, communicator, &request)
        if code != cmpi_success() {
          failure = .mpi("MPI_Isend", code: code, place: place)
        } else {
          requests.append(request)
        }
      }
    }
    if let failure { throw failure }
    guard !requests.isEmpty else { return }
    try MPISession.check(
      MPI_Waitall(Int32(requests.count), &requests, cmpi_statuses_ignore()), "MPI_Waitall", place)
  }
}

/// A number for each rank, and one from each.
final class NumberExchange {
  let outgoing: [Int64]
  var incoming: [Int64]

  init(_ outgoing: [Int64]) {
    self.outgoing = outgoing
    incoming = outgoing
  }
}

/// Blocks of bytes for all ranks, one after the other in rank order, and room for those from all ranks.
struct ByteExchange: @unchecked Sendable {
  let source: UnsafeRawPointer
  let sendBytes: [Int]
  let target: UnsafeMutableRawPointer
  let receiveBytes: [Int]

  func starts(of bytes: [Int]) -> [Int] {
    var total = 0
    return bytes.map { count in
      defer { total += count }
      return total
    }
  }
}

extension Communicator {
  /// Gives each rank a number: `numbers[r]` goes to rank r, and the result's number r came from rank r.
  /// - Collective: all ranks.
  public func exchange(_ numbers: [Int], counting traffic: Traffic? = nil) throws(Failure) -> [Int] {
    precondition(numbers.count == size, "exchange: \(numbers.count) numbers for \(size) ranks")
    guard size > 1 else { return numbers }
    let exchange = NumberExchange(numbers.map(Int64.init))
    try submit(.exchange(exchange, traffic)).wait()
    return exchange.incoming.map { Int($0) }
  }

  /// Gives each rank a block of bytes. Blocks stand one after the other in rank order, here and there; one of a rank
  /// for itself is copied.
  /// - Parameters:
  ///   - sendBytes: the length of the block for each rank.
  ///   - target: room for what comes; apart from `source`.
  ///   - receiveBytes: the length of the block from each rank, which is what that rank has for this one.
  ///   - traffic: counts what is sent and received.
  /// - Collective: all ranks.
  public func allToAll(
    _ source: UnsafeRawPointer, sendBytes: [Int], into target: UnsafeMutableRawPointer, receiveBytes: [Int],
    counting traffic: Traffic? = nil
  ) throws(Failure) {
    precondition(
      sendBytes.count == size && receiveBytes.count == size && (sendBytes + receiveBytes).allSatisfy { $0 >= 0 },
      "allToAll: \(sendBytes.count) and \(receiveBytes.count) lengths for \(size) ranks")
    guard size > 1 else { return target.copyMemory(from: source, byteCount: sendBytes[0]) }
    let exchange = ByteExchange(source: source, sendBytes: sendBytes, target: target, receiveBytes: receiveBytes)
    try submit(.allToAll(exchange, traffic)).wait()
  }
}
