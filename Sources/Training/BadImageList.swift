import Basics
import Messaging
import Pipeline

/// The images that could not be read, over all ranks.
struct BadImageList {
  private var mine: [BadImage] = []
  private var all: [BadImage] = []
  private let limit: Double

  /// - Parameter limit: more bad images than this stop the run.
  init(limit: Double) { self.limit = limit }

  /// Adds this rank's findings; returns how many are new.
  mutating func collect(_ found: [BadImage]) -> Int {
    mine += found
    return found.count
  }

  /// Bad images found so far, over all ranks, as of the last `gather`.
  var total: Int { all.count }

  /// Brings the lists of all ranks together. An image found by two ranks counts once.
  ///
  /// - Collective: all ranks.
  mutating func gather(_ communicator: Communicator) throws {
    let text = mine.map { JSON.array([.int($0.index), .string($0.name), .string($0.reason)]).line }
    let parts = try communicator.allGather(Array(text.joined(separator: "\n").utf8))
    var seen: Set<Int> = []
    all = try parts.flatMap { part in
      try String(decoding: part, as: UTF8.self).split(separator: "\n").compactMap { line in
        let fields = try JSON.parse(String(line)).arrayValue ?? []
        guard fields.count == 3, let index = fields[0].intValue, let name = fields[1].stringValue,
          let reason = fields[2].stringValue, seen.insert(index).inserted
        else { return nil }
        return BadImage(index: index, name: name, reason: reason)
      }
    }.sorted { $0.index < $1.index }
  }

  /// One line for the console.
  var summary: String {
    let last = all.last.map { "\($0.name): \($0.reason)" } ?? ""
    return
      "\(all.count) bad image\(all.count == 1 ? "" : "s") replaced so far (for example \(last)); see bad-images.txt"
  }

  /// One line an image: index, name, reason.
  var listing: String { all.map { "\($0.index)\t\($0.name)\t\($0.reason)\n" }.joined() }

  /// - Throws: `Failure` of code 65 when more images are bad than `data.max_bad` allows.
  func requireFew(of count: Int, listing: String) throws(Failure) {
    guard Double(all.count) > limit else { return }
    throw Failure(
      .badData, "\(all.count) of \(count) images cannot be read, more than data.max_bad allows", at: listing,
      hint: "repair or remove them, or raise data.max_bad")
  }
}
