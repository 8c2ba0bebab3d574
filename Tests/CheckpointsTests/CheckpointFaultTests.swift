import Basics
import Checkpoints
import Foundation
import Glibc
import Messaging
import Storage
import TestKit
import XCTest

/// Under `mpirun` all ranks take part.
final class CheckpointFaultTests: CollectiveTestCase {
  /// Runs `body` while this process cannot write beyond `bytes` of a file.
  private func withFileLimit<R>(_ bytes: Int, _ body: () throws -> R) throws -> R {
    var usual = rlimit()
    XCTAssertEqual(getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &usual), 0)
    var low = usual
    low.rlim_cur = rlim_t(bytes)
    XCTAssertEqual(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &low), 0)
    defer { setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &usual) }
    return try body()
  }

  func testAWriteErrorOnAnyRankLeavesThePreviousCheckpoint() throws {
    let world = try sharedCommunicator()
    // Whichever rank cannot write, in whichever engine, all of them get its error.
    for engine in CheckpointEngine.allCases {
      for culprit in 0..<world.size where engine == .direct || culprit == 0 {
        let run = try sharedDirectory(world)
        let stage = "\(run)/checkpoints/pretrain"
        let samples = Samples(seed: 1)
        let before = samples.bytes
        let previous = try CheckpointWriter.save(
          samples.tensors, header: sampleHeader(step: 1), directory: stage, engine: engine, communicator: world)
        let error = failure {
          try withFileLimit(world.rank == culprit ? 8192 : Int(Int32.max)) {
            _ = try CheckpointWriter.save(
              samples.tensors, header: sampleHeader(step: 2), directory: stage, engine: engine, communicator: world)
          }
        }
        XCTAssertEqual(error?.code, .ioError)
        XCTAssertNotNil(error?.hint)
        if world.size > 1 {
          XCTAssertTrue(error?.what.hasPrefix("rank \(culprit) (") ?? false, error?.what ?? "")
        }
        try world.barrier()
        XCTAssertEqual(Directory.entries(stage), ["step-00000001.h5"])
        let newest = try CheckpointReader.newestValid(in: run, communicator: world)
        XCTAssertEqual(newest.path, previous)
        XCTAssertEqual(newest.rejected, [])
        samples.clear()
        _ = try CheckpointReader.load(into: samples.tensors, from: previous, communicator: world)
        XCTAssertEqual(samples.bytes, before)
        // The run goes on and saves again.
        _ = try CheckpointWriter.save(
          samples.tensors, header: sampleHeader(step: 2), directory: stage, engine: engine, communicator: world)
        try world.barrier()
        XCTAssertEqual(Directory.entries(stage), ["step-00000001.h5", "step-00000002.h5"])
        try world.barrier()
      }
    }
  }

  func testAStepRecordOnAFullDiskIsAnErrorAndLeavesNothing() throws {
    let world = try sharedCommunicator()
    let folder = try sharedDirectory(world)
    var record = StepRecord(method: "mae", config: "{}", seed: 1, step: 1, communicator: world)
    record.addGathered("views/0", floats: [Float](repeating: 1, count: 30_000), perImage: [30_000])
    let error = failure {
      try withFileLimit(world.rank == 0 ? 8192 : Int(Int32.max)) {
        try record.write(to: "\(folder)/step.h5", communicator: world)
      }
    }
    XCTAssertEqual(error?.code, .ioError)
    XCTAssertNotNil(error?.hint)
    XCTAssertEqual(Directory.entries(folder), [])
    try record.write(to: "\(folder)/step.h5", communicator: world)
    XCTAssertEqual(Directory.entries(folder), ["step.h5"])
  }

  func testAFolderThatCannotBeMadeIsNamed() throws {
    let world = try sharedCommunicator()
    let root = try sharedDirectory(world)
    if world.rank == 0 { try AtomicFile.write("in the way", to: "\(root)/file") }
    let error = failure {
      _ = try CheckpointWriter.save(
        [], header: sampleHeader(step: 1), directory: "\(root)/file/stage", communicator: world)
    }
    XCTAssertEqual(error?.code, .cannotCreate)
    XCTAssertEqual(error?.place, "\(root)/file/stage")
  }

  func testLeftoversOfKilledSavesAreIgnoredAndRemoved() throws {
    let world = try sharedCommunicator()
    let run = try sharedDirectory(world)
    let stage = "\(run)/checkpoints/pretrain"
    let samples = Samples(seed: 1, large: false)
    let path = try CheckpointWriter.save(
      samples.tensors, header: sampleHeader(step: 1), directory: stage, communicator: world)
    if world.rank == 0 {
      // Killed after the last byte, and killed on the way.
      try AtomicFile.write(contents(path), to: "\(stage)/step-00000009.h5.partial")
      try AtomicFile.write(Array(contents(path)[..<5000]), to: "\(stage)/step-00000002.h5.partial")
      try AtomicFile.write("not ours", to: "\(stage)/notes.partial")
    }
    try world.barrier()
    let newest = try CheckpointReader.newestValid(in: run, communicator: world)
    XCTAssertEqual(newest.path, path)
    XCTAssertEqual(newest.rejected, [])
    _ = try CheckpointWriter.save(
      samples.tensors, header: sampleHeader(step: 2), directory: stage, communicator: world)
    try world.barrier()
    XCTAssertEqual(Directory.entries(stage), ["notes.partial", "step-00000001.h5", "step-00000002.h5"])
  }
}
