import CMPI

/// A few words per rank in memory that all ranks of a node see: what each one is doing right now.
///
/// It is written at every operation and read only by watchdogs. Every word is read and written as an atomic; a
/// reader may see words of two moments, which a report about a rank that stands still can bear.
struct StatusBoard: @unchecked Sendable {
  static let wordsPerSlot = 16
  static let phaseWords = 8

  let base: UnsafeMutablePointer<Int64>
  let slots: Int

  /// The words that a board for `slots` ranks takes: one slot more, for the header.
  static func words(slots: Int) -> Int { (slots + 1) * wordsPerSlot }

  /// True for the first caller on this node only, so that a node prints one message.
  func claim() -> Bool { cmpi_shared_claim(base, 1) != 0 }

  func slot(_ index: Int) -> StatusSlot {
    precondition((0..<slots).contains(index), "StatusBoard: slot \(index) of \(slots)")
    return StatusSlot(words: base + (index + 1) * Self.wordsPerSlot)
  }
}

/// The words of one rank.
struct StatusSlot: @unchecked Sendable {
  // 0 heartbeat (ns), 1 number of the last collective entered, 2 kind of the operation in flight or 0,
  // 3 its start (ns), 8 ..< 16 the phase as text padded with zeros
  let words: UnsafeMutablePointer<Int64>

  func beat(at now: Double) { cmpi_shared_store(words, Int64(now * 1e9)) }

  func enter(_ kind: OperationKind, sequence: Int, at now: Double) {
    cmpi_shared_store(words + 3, Int64(now * 1e9))
    cmpi_shared_store(words + 1, Int64(sequence))
    cmpi_shared_store(words + 2, kind.rawValue)
  }

  func leave() { cmpi_shared_store(words + 2, OperationKind.none.rawValue) }

  func setPhase(_ name: String) {
    let bytes = Array(name.utf8.prefix(StatusBoard.phaseWords * 8))
    for word in 0..<StatusBoard.phaseWords {
      var value: UInt64 = 0
      for byte in 0..<8 where word * 8 + byte < bytes.count {
        value |= UInt64(bytes[word * 8 + byte]) << (8 * UInt64(byte))
      }
      cmpi_shared_store(words + 8 + word, Int64(bitPattern: value))
    }
  }

  func snapshot() -> [Int64] { (0..<StatusBoard.wordsPerSlot).map { cmpi_shared_load(words + $0) } }

  func read() -> RankStatus { RankStatus(words: snapshot()) }
}

/// What one rank was last seen doing.
struct RankStatus: Equatable, Sendable {
  /// When its watchdog last ran, on the node's clock (seconds).
  var heartbeat: Double
  /// The number of the last collective operation it entered.
  var sequence: Int
  /// The operation it is inside of.
  var kind: OperationKind
  /// The phase its main thread is in.
  var phase: String
}

extension RankStatus {
  /// Reads the words of a slot.
  init(words: [Int64]) {
    precondition(words.count == StatusBoard.wordsPerSlot, "RankStatus: \(words.count) words")
    let text = words.suffix(StatusBoard.phaseWords).flatMap { word in
      withUnsafeBytes(of: word.littleEndian) { Array($0) }
    }
    self.init(
      heartbeat: Double(words[0]) * 1e-9, sequence: Int(words[1]),
      kind: OperationKind(rawValue: words[2]) ?? .none,
      phase: String(decoding: text.prefix { $0 != 0 }, as: UTF8.self))
  }
}
