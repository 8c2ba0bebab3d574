import Basics
import Messaging
import Tensors

/// Finds tensors that must be equal on all ranks and are not: a broken processor or memory, or a defect.
///
/// Every rank hashes its own copy, and only the hashes travel. Equal hashes stand for equal bits.
public enum ReplicaCheck {
  /// The hash of one named tensor.
  public struct Digest: Equatable, Sendable {
    /// The tensor's name.
    public let name: String
    /// The hash of its bits.
    public let value: UInt64
  }

  /// The hash of a block of memory, for tensors that are not floats.
  public static func digest(_ name: String, _ bytes: UnsafeRawBufferPointer) -> Digest {
    Digest(name: name, value: replicaHash(bytes))
  }

  /// The hashes of tensors; -0 and 0 count as different, as do two kinds of NaN.
  public static func hashes(_ items: [(String, Tensor)]) -> [Digest] {
    var values = [UInt64](repeating: 0, count: items.count)
    values.withUnsafeMutableBufferPointer { buffer in
      nonisolated(unsafe) let buffer = buffer
      ThreadTeam.shared.deal(items.count) { range in
        for index in range {
          let tensor = items[index].1
          buffer[index] = replicaHash(
            UnsafeRawBufferPointer(start: tensor.pointer, count: tensor.count * MemoryLayout<Float>.size))
        }
      }
    }
    return zip(items, values).map { Digest(name: $0.0, value: $1) }
  }

  /// Compares tensors over all ranks.
  /// - Throws: `.diverged`, the same on all ranks: it names the first tensor that differs and the ranks in the
  ///   minority.
  /// - Collective: all ranks, with the same names in the same order.
  public static func verify(_ items: [(String, Tensor)], _ communicator: Communicator) throws(Failure) {
    guard communicator.size > 1 else { return }
    try verify(hashes(items), communicator)
  }

  /// Compares hashes over all ranks.
  /// - Throws: as for tensors.
  /// - Collective: all ranks, with the same names in the same order.
  public static func verify(_ digests: [Digest], _ communicator: Communicator) throws(Failure) {
    guard communicator.size > 1 else { return }
    let names = Array(digests.map(\.name).joined(separator: "\n").utf8).withUnsafeBytes(replicaHash)
    guard try firstDifference([names], communicator) == nil else {
      let counts = try communicator.allGather(Array("\(digests.count)".utf8)).map {
        String(decoding: $0, as: UTF8.self)
      }
      throw .differentTensorLists(counts: counts)
    }
    guard let (index, total) = try firstDifference(digests.map(\.value), communicator) else { return }
    let own = withUnsafeBytes(of: digests[index].value.littleEndian) { Array($0) }
    let all = try communicator.allGather(own)
    let odd = minority(all).map(communicator.name(ofRank:))
    throw .replicasDiffer(tensor: digests[index].name, ranks: odd, total: total)
  }

  /// The first place where ranks disagree and how many there are; nil when they agree.
  private static func firstDifference(
    _ values: [UInt64], _ communicator: Communicator
  ) throws(Failure) -> (index: Int, total: Int)? {
    // The smallest value is the complement of the largest complement: one reduction gives both.
    let signed = values.map { Int64(bitPattern: $0) }
    let largest = try communicator.allReduceMax(signed + signed.map { ~$0 })
    let odd = values.indices.filter { largest[$0] != ~largest[values.count + $0] }
    return odd.first.map { ($0, odd.count) }
  }

  /// The ranks that do not have the most frequent value; all ranks when no value is more frequent than the others.
  static func minority(_ values: [[UInt8]]) -> [Int] {
    let counts = Dictionary(values.map { ($0, 1) }, uniquingKeysWith: +)
    let most = counts.values.max() ?? 0
    let leaders = counts.filter { $0.value == most }
    guard leaders.count == 1, let right = leaders.first?.key else { return Array(values.indices) }
    return values.indices.filter { values[$0] != right }
  }
}

extension Failure {
  /// Replicas that must be equal are not.
  static func replicasDiffer(tensor: String, ranks: [String], total: Int) -> Failure {
    let others = total > 1 ? " (and \(total - 1) more)" : ""
    return Failure(
      .diverged, "replicas differ in \(tensor)\(others)", at: ranks.joined(separator: ", "),
      hint: "a processor or memory may be faulty: exclude the host and resume from the last checkpoint")
  }

  /// Ranks compare different things.
  static func differentTensorLists(counts: [String]) -> Failure {
    Failure(
      .diverged, "ranks hold different lists of tensors, of \(counts.joined(separator: ", ")) entries",
      hint: "all ranks must run the same program with the same settings")
  }
}
