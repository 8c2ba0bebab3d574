import Basics
import Foundation
import Storage
import TestKit
import XCTest

/// A tiny run of all stages of MAE-CT in a directory of its own.
struct StagedRun {
  /// Where the program is started; the run is `run` in it.
  let place = temporaryDirectory("staged")
  var directory: String { "\(place)/run" }

  /// Three ranks have blocks of 3, 3 and 2 images; the queue of 13 wraps around inside the second batch. An epoch is
  /// three steps, so a stage of four begins a second one.
  static let settings = [
    "method=mae-ct", "name=staged", "data.train=synth:tinyshapes?n=24&size=16&seed=3", "data.labels=true",
    "model.arch=vit_tiny_patch16_224", "model.img_size=16", "model.patch=4", "model.width=32", "model.depth=2",
    "model.heads=2", "model.decoder.dim=16", "model.decoder.depth=1", "model.decoder.heads=2", "train.batch_size=8",
    "optim.base_lr=0.02", "optim.warmup=2 steps", "runtime.threads=1", "log.every=1 steps", "eval.every=null",
    "log.images.every=null", "checkpoint.keep_last=10", "checkpoint.every=null", "nnclr.queue_size=13",
    "nnclr.proj_hidden=24", "nnclr.pred_hidden=20", "nnclr.out_dim=8", "stages.tune.nnclr.top_k=4",
    "stages.tune.nnclr.target_ema=0.9", "stages.tune.ema.encoder=0.9", "stages.tune.optim.layer_decay=0.65",
    "stages.mae.max_steps=3", "stages.head.max_steps=4", "stages.tune.max_steps=4",
  ]
  /// The steps of each stage.
  static let lengths = [("mae", 3), ("head", 4), ("tune", 4)]

  /// Runs `pretrain` to its end.
  func train(ranks: Int = 0, _ more: [String] = []) -> ProgramRun {
    ProgramRun.sslmpi(arguments(more), ranks: ranks, in: place)
  }

  func arguments(_ more: [String] = []) -> [String] { ["pretrain", "--out", "run"] + StagedRun.settings + more }

  /// Records a step.
  func trace(_ name: String, ranks: Int = 0, _ more: [String] = []) throws -> [String: StoredArray] {
    let outcome = ProgramRun.sslmpi(
      ["trace-step", "--run", "run", "--out", name] + StagedRun.settings + more, ranks: ranks, in: place)
    expect(outcome, code: 0)
    return try StoredArray.all(in: "\(place)/\(name)")
  }

  /// The path of a checkpoint, from where the program is started.
  func checkpoint(_ stage: String, _ step: Int) -> String {
    "run/checkpoints/\(stage)/step-" + String(format: "%08d", step) + ".h5"
  }

  /// Everything that a checkpoint holds but its checksums, in which the places of its bytes are.
  func saved(_ stage: String, _ step: Int) throws -> [String: StoredArray] {
    try StoredArray.all(in: "\(place)/\(checkpoint(stage, step))").filter { !$0.key.hasPrefix("integrity/") }
  }

  /// The lines of the metrics, of one kind and stage.
  func metrics(_ kind: String = "train", stage: String? = nil) throws -> [JSON] {
    try String(contentsOfFile: "\(directory)/metrics.jsonl", encoding: .utf8).split(separator: "\n").map {
      try JSON.parse(String($0))
    }.filter { $0["kind"] == .string(kind) && (stage == nil || $0["stage"] == stage.map { .string($0) }) }
  }

  /// A number of each step.
  func series(_ key: String, stage: String? = nil) throws -> [Double] {
    try metrics(stage: stage).map { try XCTUnwrap($0[key]?.doubleValue, key) }
  }

  /// Turns one bit in the middle of a checkpoint.
  func damage(_ checkpoint: String) throws {
    let file = URL(fileURLWithPath: "\(place)/\(checkpoint)")
    var bytes = try Data(contentsOf: file)
    bytes[bytes.count / 2] ^= 0x10
    try bytes.write(to: file)
  }
}

/// A dataset of a file, bit for bit.
struct StoredArray: Equatable, CustomStringConvertible {
  let kind: ElementKind
  let shape: [Int]
  let bytes: [UInt8]

  var description: String { "\(kind.rawValue)\(shape)" }
  var floats: [Float] { read(Float.self) }
  var doubles: [Double] { read(Double.self) }
  var integers: [Int] { kind == .int32 ? read(Int32.self).map(Int.init) : read(Int64.self).map(Int.init) }

  private func read<T: BitwiseCopyable>(_ type: T.Type) -> [T] {
    precondition(bytes.count % MemoryLayout<T>.stride == 0, "StoredArray: \(kind) is not \(type)")
    return (0..<bytes.count / MemoryLayout<T>.stride).map { place in
      bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: place * MemoryLayout<T>.stride, as: type) }
    }
  }

  /// All datasets of a file by name.
  static func all(in path: String) throws -> [String: StoredArray] {
    let file = try H5File.open(path)
    var found: [String: StoredArray] = [:]
    for dataset in try file.datasets() {
      let kind = try XCTUnwrap(dataset.kind, dataset.name)
      var bytes = [UInt8](repeating: 0, count: dataset.bytes)
      try file.read(dataset.name, kind, into: &bytes)
      found[dataset.name] = StoredArray(kind: kind, shape: dataset.shape, bytes: bytes)
    }
    try file.close()
    return found
  }
}

extension [String: StoredArray] {
  /// Those below a folder, under the names that they have there.
  func below(_ folder: String) -> [String: StoredArray] {
    Dictionary(
      uniqueKeysWithValues: filter { $0.key.hasPrefix(folder + "/") }.map {
        (String($0.key.dropFirst(folder.count + 1)), $0.value)
      })
  }

  /// The names under which both do not hold the same, bit for bit.
  func differences(from other: [String: StoredArray]) -> [String] {
    Set(keys).union(other.keys).filter { self[$0] != other[$0] }.sorted()
  }

  /// The names under which whole numbers or shapes are not equal, or others not within `relative` of one another.
  func differences(from other: [String: StoredArray], relative: Double) -> [String] {
    differences(from: other).filter { name in
      guard let array = self[name], let expected = other[name], array.shape == expected.shape,
        array.kind == .float32, expected.kind == .float32
      else { return true }
      let error = relativeError(array.floats, expected.floats) * (other.scale(of: name) ?? 1)
      return !(error < relative)
    }
  }

  /// Fails and names what differs, unless both hold the same, bit for bit, and anything at all.
  func expectSame(
    as other: [String: StoredArray], _ what: String, file: StaticString = #filePath, line: UInt = #line
  ) {
    XCTAssertFalse(isEmpty, "\(what): nothing is compared", file: file, line: line)
    XCTAssertEqual(differences(from: other).prefix(5), [], "\(what): these differ", file: file, line: line)
  }

  /// The same where rounding is allowed.
  func expectClose(
    to other: [String: StoredArray], relative: Double, _ what: String, file: StaticString = #filePath,
    line: UInt = #line
  ) {
    XCTAssertFalse(isEmpty, "\(what): nothing is compared", file: file, line: line)
    let found = differences(from: other, relative: relative)
    XCTAssertEqual(found.prefix(5), [], "\(what): these differ", file: file, line: line)
  }

  /// The norm of a running mean over that of its running deviation; nil for anything else.
  ///
  /// A mean is as exact as the deviation of what it is taken over: that of the predictor, which sees centred vectors,
  /// is 0 but for rounding.
  private func scale(of name: String) -> Double? {
    guard name.hasSuffix("running_mean"), let mean = self[name],
      let variance = self[name.replacingOccurrences(of: "running_mean", with: "running_var")]
    else { return nil }
    let squares = mean.floats.reduce(0) { $0 + Double($1) * Double($1) }
    return (squares / variance.floats.reduce(0) { $0 + Double($1) }).squareRoot()
  }
}
