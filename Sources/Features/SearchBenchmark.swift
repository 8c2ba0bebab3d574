import Basics
import Glibc
import Messaging
import Tensors

/// Times k-NN classification of random features, for `sslmpi bench knn`.
public enum SearchBenchmark {
  /// What is measured.
  public struct Options: Sendable {
    /// Images to classify, images to compare them with, numbers of a feature.
    public var queries, bank, width: Int
    /// Neighbours that vote.
    public var k: Int
    /// Classifications that are measured.
    public var rounds: Int

    /// Describes a measurement.
    public init(queries: Int, bank: Int, width: Int, k: Int, rounds: Int) {
      self.queries = queries
      self.bank = bank
      self.width = width
      self.k = k
      self.rounds = rounds
    }
  }

  /// What was measured.
  public struct Result: Sendable {
    /// Of every round: the slowest rank's time, from the raw features to the classes.
    /// - Units: seconds.
    public let seconds: [Double]
    /// Of every round: the time that the cores worked, over all ranks.
    /// - Units: seconds.
    public let coreSeconds: [Double]
    /// The features of the bank that a rank holds, on the rank that has most.
    public let bankBytes: Int
    /// The most that the tensors of a rank took at one time: bank and queries, raw and normalised, and what the search
    /// needs; on the rank that took most.
    public let peakBytes: Int
  }

  private static let classes = 1000

  /// Classifies random queries by a random bank, both made here.
  ///
  /// - Parameter directory: gets `bank.f32`, `queries.f32`, `labels.i32` and `predictions.i32`, so that another program
  ///   can do the same work; for one rank.
  /// - Throws: code 73 or 74 when `directory` cannot be written.
  /// - Collective: all ranks, with the same arguments.
  public static func run(
    _ options: Options, _ communicator: Communicator, keepIn directory: String? = nil
  ) throws(Failure) -> Result {
    precondition(directory == nil || communicator.size == 1, "SearchBenchmark: one rank keeps files")
    let bank = features(options.bank, options.width, seed: 1, communicator)
    let queries = features(options.queries, options.width, seed: 2, communicator)
    let vote = Vote(temperature: 0.07)
    var (seconds, coreSeconds, classes) = ([Double](), [Double](), [Int32]())
    for _ in 0..<options.rounds {
      try communicator.barrier()
      let (start, used) = (monotonicSeconds(), processSeconds())
      let neighbours = try ShardedSearch(bank: bank.normalised(), communicator: communicator)
        .nearest(queries.normalised(), k: options.k)
      classes = neighbours.map { vote.ranking($0[...])[0] }
      seconds.append(try communicator.allReduceMax([monotonicSeconds() - start])[0])
      coreSeconds.append(try communicator.allReduceSum([processSeconds() - used])[0])
    }
    let most = try communicator.allReduceMax([
      Int64(bank.rows.count * MemoryLayout<Float>.size), Int64(StoragePool.peakBytes),
    ])
    if let directory {
      try AtomicFile.write(bytes(of: bank.rows.array), to: directory + "/bank.f32")
      try AtomicFile.write(bytes(of: queries.rows.array), to: directory + "/queries.f32")
      try AtomicFile.write(bytes(of: bank.labels), to: directory + "/labels.i32")
      try AtomicFile.write(bytes(of: classes), to: directory + "/predictions.i32")
    }
    return Result(seconds: seconds, coreSeconds: coreSeconds, bankBytes: Int(most[0]), peakBytes: Int(most[1]))
  }

  /// What all threads of this process have worked.
  private static func processSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }

  private static func bytes<Number: BitwiseCopyable>(of values: [Number]) -> [UInt8] {
    values.withUnsafeBytes { Array($0) }
  }

  /// Uniform numbers that do not depend on the ranks, and labels dealt in turn.
  private static func features(_ count: Int, _ width: Int, seed: UInt64, _ communicator: Communicator) -> FeatureSet {
    let range = blockRange(count: count, part: communicator.rank, of: communicator.size)
    let rows = Tensor(uninitialized: [range.count, width])
    let values = rows.pointer
    Team.split(range.count) { part in
      for row in part {
        var stream = RandomStream(seed: seed, purpose: .probe, index: range.lowerBound + row)
        for d in 0..<width { values[row * width + d] = Float(stream.uniform(-1..<1)) }
      }
    }
    return FeatureSet(rows: rows, range: range, labels: (0..<count).map { Int32($0 % classes) })
  }
}
