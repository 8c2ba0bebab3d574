import Basics
import Glibc
import Messaging
import Storage

/// Every input of one optimiser step and every result, in one HDF5 file from which the step can be computed again.
///
/// Numbers are copied when they are added, so weights can be recorded before and after an update. What is equal on
/// all ranks is kept by rank 0 alone; what each rank has for its own images is joined in rank order, which is the
/// order of the samples in the global batch.
public struct StepRecord: Sendable {
  /// The value of the `format` attribute.
  public static let format = "sslmpi-step-1"

  /// The numbers of an entry.
  enum Values: Sendable, Equatable {
    case floats([Float])
    case doubles([Double])
    case int32s([Int32])
    case int64s([Int64])
  }

  private struct Entry: Sendable {
    let name: String
    /// The whole shape, or that of one image when `isGathered`.
    let shape: [Int]
    let isGathered: Bool
    /// Empty when the numbers are scattered over the ranks.
    var values: Values
    var scattered: ScatteredRows?

    /// Whether only rank 0 has it.
    var isReplicated: Bool { !isGathered && scattered == nil }
  }

  private let attributes: [(name: String, value: AttributeValue)]
  private var schedule: [(name: String, value: Double)] = []
  private var entries: [Entry] = []
  private let keepsReplicated: Bool

  /// Begins the record of one step.
  /// - Parameters:
  ///   - stage: the stage of the method; nil when it has none.
  ///   - config: the resolved settings, as JSON.
  ///   - communicator: the ranks of the run; here only their numbers are used.
  public init(
    method: String, stage: String? = nil, config: String, seed: UInt64, step: Int, communicator: Communicator
  ) {
    attributes = [
      ("format", .string(StepRecord.format)), ("method", .string(method)), ("stage", .string(stage ?? method)),
      ("config", .string(config)),
      ("seed", .int(Int64(bitPattern: seed))), ("step", .int(Int64(step))),
      ("world_size", .int(Int64(communicator.size))),
    ]
    keepsReplicated = communicator.rank == 0
  }

  /// Adds a number of this step's schedule: lr, weight_decay, momentum, ...
  public mutating func addSchedule(_ name: String, _ value: Double) { schedule.append((name, value)) }

  /// Adds a part of the loss, or `total`: a mean over the global batch.
  public mutating func addLoss(_ part: String, _ value: Double) {
    append(Entry(name: "loss/\(part)", shape: [], isGathered: false, values: .doubles([value])))
  }

  /// Adds a copy of a tensor that is equal on all ranks, under `folder`: `weights_before`, `gradients`, `state_after`.
  /// Of one that is scattered over the ranks each keeps its part.
  public mutating func add(_ folder: String, _ tensor: NamedTensor) {
    guard keepsReplicated || tensor.scattered != nil else { return }
    append(
      Entry(
        name: "\(folder)/\(tensor.name)", shape: tensor.shape, isGathered: false, values: tensor.copied,
        scattered: tensor.scattered?.copied()))
  }

  /// Adds numbers that are equal on all ranks, such as a draw for the whole batch.
  /// - Shapes: values [product of shape].
  public mutating func add(_ name: String, ints: [Int32], shape: [Int]) {
    precondition(ints.count == shape.reduce(1, *), "StepRecord: \(name) has \(ints.count) numbers for \(shape)")
    append(Entry(name: name, shape: shape, isGathered: false, values: .int32s(ints)))
  }

  /// Adds this rank's images, or numbers of them: `views/0`. A second call with the name goes on after the first.
  /// - Shapes: values [images of this rank, perImage...]; in the file [B, perImage...].
  public mutating func addGathered(_ name: String, floats: [Float], perImage: [Int]) {
    append(Entry(name: name, shape: perImage, isGathered: true, values: .floats(floats)))
  }

  /// Adds numbers of this rank's images: `draws/mask_order/0`. A second call with the name goes on after the first.
  /// - Shapes: values [images of this rank, perImage...]; in the file [B, perImage...].
  public mutating func addGathered(_ name: String, ints: [Int32], perImage: [Int]) {
    append(Entry(name: name, shape: perImage, isGathered: true, values: .int32s(ints)))
  }

  /// Adds whole numbers of this rank's images: `samples/index`. A second call with the name goes on after the first.
  /// - Shapes: values [images of this rank, perImage...]; in the file [B, perImage...].
  public mutating func addGathered(_ name: String, wide: [Int64], perImage: [Int]) {
    append(Entry(name: name, shape: perImage, isGathered: true, values: .int64s(wide)))
  }

  private mutating func append(_ entry: Entry) {
    guard keepsReplicated || !entry.isReplicated else { return }
    guard let place = entries.firstIndex(where: { $0.name == entry.name }) else { return entries.append(entry) }
    precondition(
      entry.isGathered && entries[place].isGathered && entry.shape == entries[place].shape,
      "StepRecord: \(entry.name) was added twice")
    entries[place].values.append(entry.values)
  }

  /// Joins what the ranks have and writes the file through a `.partial` one.
  /// - Throws: on every rank: code 73 or 74.
  /// - Collective: all ranks, with the same gathered entries in the same order.
  public func write(to path: String, communicator: Communicator) throws(Failure) {
    try H5File.startLibrary(on: communicator)
    var whole: [Entry] = []
    for entry in entries {
      guard entry.isGathered else {
        whole.append(entry)
        continue
      }
      let parts = try communicator.gather(entry.values.bytes, to: 0)
      guard communicator.rank == 0 else { continue }
      let values = entry.values.reading(Array(parts.joined()))
      let images = values.count / max(entry.shape.reduce(1, *), 1)
      whole.append(Entry(name: entry.name, shape: [images] + entry.shape, isGathered: false, values: values))
    }
    let partial = path + ".partial"
    let places = try communicator.agreed { () throws(Failure) -> [Int] in
      communicator.rank == 0 ? try removing(partial) { () throws(Failure) in try writeWhole(whole, to: partial) } : []
    }
    try writeScattered(places, to: partial, communicator)
    try communicator.agreed { () throws(Failure) in
      guard communicator.rank == 0 else { return }
      try removing(partial) { () throws(Failure) in try commit(partial, to: path) }
    }
  }

  /// Runs `body` and removes `partial` where it fails: before the ranks agree, so that none of them finds it after.
  private func removing<R>(_ partial: String, _ body: () throws(Failure) -> R) throws(Failure) -> R {
    do { return try body() } catch {
      unlink(partial)
      throw error
    }
  }

  /// Makes the file and writes what rank 0 has.
  /// - Returns: where the numbers of each scattered entry begin.
  private func writeWhole(_ whole: [Entry], to partial: String) throws(Failure) -> [Int] {
    let datasets = whole.map { DatasetInfo(name: $0.name, kind: $0.values.kind, shape: $0.shape, offset: nil) }
    let skeleton = try H5Skeleton.create(partial, datasets) { file throws(Failure) in
      for (name, value) in attributes { try file.setAttribute(name, value) }
      try file.createGroup("schedule")
      for (name, value) in schedule { try file.setAttribute(name, .double(value), of: "schedule") }
    }
    let file = try ByteFile.open(partial, writable: true)
    for (entry, offset) in zip(whole, skeleton.offsets) where entry.scattered == nil {
      try file.write(entry.values.bytes, at: offset)
    }
    return zip(whole, skeleton.offsets).filter { $0.0.scattered != nil }.map(\.1)
  }

  /// Rank 0 writes what the ranks hold between them, a part at a time.
  /// - Collective: all ranks.
  private func writeScattered(_ places: [Int], to partial: String, _ communicator: Communicator) throws(Failure) {
    var failure: Failure?
    for (number, rows) in entries.compactMap(\.scattered).enumerated() {
      let parts = ScatteredChunks(rows)
      for chunk in ChunkTable.chunks(of: [rows.count * rows.rowBytes]) {
        let wanted = (0..<communicator.size).map { $0 == 0 ? chunk.range : 0..<0 }
        let part = try parts.collect(wanted, rank: communicator.rank)
        guard communicator.rank == 0, failure == nil else { continue }
        do throws(Failure) {
          try ByteFile.open(partial, writable: true)
            .write(UnsafeRawBufferPointer(start: part, count: chunk.bytes), at: places[number] + chunk.start)
        } catch {
          unlink(partial)
          failure = error
        }
      }
    }
    try communicator.agree(failure)
  }

  private func commit(_ partial: String, to path: String) throws(Failure) {
    try ByteFile.open(partial, writable: true).sync()
    guard rename(partial, path) == 0 else { throw Failure.system("rename", path: path, errno: errno) }
    try AtomicFile.syncDirectory(of: path)
  }
}

extension NamedTensor {
  fileprivate var copied: StepRecord.Values {
    switch payload {
    case .float32(let pointer): return .floats(Array(UnsafeBufferPointer(start: pointer, count: count)))
    case .float64(let pointer): return .doubles(Array(UnsafeBufferPointer(start: pointer, count: count)))
    case .int32(let pointer): return .int32s(Array(UnsafeBufferPointer(start: pointer, count: count)))
    case .int64(let pointer): return .int64s(Array(UnsafeBufferPointer(start: pointer, count: count)))
    case .scattered: return kind == .float32 ? .floats([]) : .int64s([])
    }
  }
}
