import Basics
import Glibc

/// Datagrams from every node to rank 0, so that rank 0 can name a missing rank of any node.
///
/// They travel beside MPI, which cannot tell: the MPI call is what hangs. Nothing depends on their arrival; without
/// them each node still names its own missing ranks.
struct SideChannel: Sendable {
  /// Slots in one datagram: it stays below the size of an Ethernet frame.
  static let slotsPerDatagram = 10
  private static let wordsPerEntry = StatusBoard.wordsPerSlot + 1
  private static let headerWords = 2

  private let socketNumber: Int32
  private let nonce: Int64
  private let targets: [sockaddr_in]

  /// The receiving end, for rank 0, and the text that the senders need; nil when the system gives no socket.
  /// - Parameters:
  ///   - nonce: tells datagrams of this job from others.
  static func receiver(nonce: Int64) -> (SideChannel, invitation: String)? {
    guard let number = openSocket() else { return nil }
    var own = sockaddr_in()
    own.sin_family = sa_family_t(AF_INET)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &own) { address in
      address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(number, $0, length) == 0 && getsockname(number, $0, &length) == 0
      }
    }
    guard isBound else {
      close(number)
      return nil
    }
    let words = ["\(nonce)", "\(UInt16(bigEndian: own.sin_port))"] + hostAddresses().map(String.init)
    return (SideChannel(socketNumber: number, nonce: nonce, targets: []), words.joined(separator: " "))
  }

  /// A sending end; nil when the invitation is empty or the system gives no socket.
  static func sender(invitation: String) -> SideChannel? {
    let words = invitation.split(separator: " ").compactMap { Int64($0) }
    guard words.count > 2, let number = openSocket() else { return nil }
    let targets = words.dropFirst(2).map { word in
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = UInt16(truncatingIfNeeded: words[1]).bigEndian
      address.sin_addr.s_addr = UInt32(truncatingIfNeeded: word)
      return address
    }
    return SideChannel(socketNumber: number, nonce: words[0], targets: targets)
  }

  /// Sends what the ranks of a node publish to every address of rank 0's host.
  func send(_ board: StatusBoard, ranks: [Int], at now: Double) {
    for first in stride(from: 0, to: ranks.count, by: Self.slotsPerDatagram) {
      var words = [nonce, Int64(now * 1e9)]
      for index in first..<min(first + Self.slotsPerDatagram, ranks.count) {
        words.append(Int64(ranks[index]))
        words += board.slot(index).snapshot()
      }
      words.withUnsafeBytes { bytes in
        for var target in targets {
          _ = withUnsafePointer(to: &target) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
              sendto(
                socketNumber, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT), $0,
                socklen_t(MemoryLayout<sockaddr_in>.size))
            }
          }
        }
      }
    }
  }

  /// What has arrived: the rank, its words, and for how long it had been silent when they were sent.
  /// - Parameters:
  ///   - blocking: waits for the first datagram.
  func receive(blocking: Bool = false) -> [Sighting] {
    var sightings: [Sighting] = []
    var words = [Int64](repeating: 0, count: Self.headerWords + Self.slotsPerDatagram * Self.wordsPerEntry)
    var isFirst = blocking
    while true {
      let flags = isFirst ? 0 : Int32(MSG_DONTWAIT)
      let length = words.withUnsafeMutableBytes { recv(socketNumber, $0.baseAddress, $0.count, flags) }
      guard length >= 0 else { return sightings }
      isFirst = false
      sightings += decode(words.prefix(length / MemoryLayout<Int64>.size))
    }
  }

  func closeSocket() { close(socketNumber) }

  private func decode(_ words: ArraySlice<Int64>) -> [Sighting] {
    guard words.count > Self.headerWords, words[0] == nonce else { return [] }
    let sent = Double(words[1]) * 1e-9
    var sightings: [Sighting] = []
    var start = Self.headerWords
    while start + Self.wordsPerEntry <= words.count {
      let status = RankStatus(words: Array(words[start + 1..<start + Self.wordsPerEntry]))
      sightings.append(
        Sighting(rank: Int(words[start]), status: status, silentSeconds: sent - status.heartbeat))
      start += Self.wordsPerEntry
    }
    return sightings
  }

  private static func openSocket() -> Int32? {
    let number = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    return number < 0 ? nil : number
  }

  /// The IPv4 addresses of this host in network order, the loopback last: it serves several "nodes" on one host.
  private static func hostAddresses() -> [UInt32] {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return [] }
    defer { freeifaddrs(list) }
    var addresses: [UInt32] = []
    var cursor = list
    while let entry = cursor?.pointee {
      if let address = entry.ifa_addr, address.pointee.sa_family == sa_family_t(AF_INET) {
        let value = address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { $0.pointee.sin_addr.s_addr }
        addresses.append(value)
      }
      cursor = entry.ifa_next
    }
    let loopback = UInt32(0x7F00_0001).bigEndian
    return addresses.filter { $0 != loopback }.prefix(8) + addresses.filter { $0 == loopback }
  }
}

/// What is known about one rank, wherever it comes from.
struct Sighting: Equatable, Sendable {
  let rank: Int
  let status: RankStatus
  /// How long its watchdog has given no sign of life.
  let silentSeconds: Double
}
