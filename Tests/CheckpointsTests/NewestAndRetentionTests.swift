import Basics
import Checkpoints
import Foundation
import Messaging
import Storage
import TestKit
import XCTest

/// Under `mpirun` all ranks take part.
final class NewestAndRetentionTests: CollectiveTestCase {
  private func save(_ steps: [Int], _ stage: String, _ world: Communicator) throws -> [String] {
    let samples = Samples(seed: 1, large: false)
    return try steps.map {
      try CheckpointWriter.save(
        samples.tensors, header: sampleHeader(step: $0), directory: stage, communicator: world)
    }
  }

  private func spoil(_ path: String) throws {
    let file = try ByteFile.open(path, writable: true)
    let place = try file.length() - 100
    try file.write([try file.bytes(1, at: place)[0] ^ 1], at: place)
  }

  func testTheNewestWholeFileIsFoundAndTheBadOnesAreListed() throws {
    let world = try sharedCommunicator()
    let run = try sharedDirectory(world)
    let first = try save([5, 40], "\(run)/checkpoints/stage1", world)
    let second = try save([100_000_000, 90, 300], "\(run)/checkpoints/stage2", world)
    if world.rank == 0 {
      try AtomicFile.write(Array(contents(second[0])[..<6000]), to: second[0])
      try spoil(second[2])
      try AtomicFile.write("nothing", to: "\(run)/checkpoints/stage2/step-99999999.h5")
      try AtomicFile.write("nothing", to: "\(run)/checkpoints/stage2/step-x.h5")
      try AtomicFile.write("nothing", to: "\(run)/checkpoints/step-00000999.h5")
    }
    try world.barrier()
    let newest = try CheckpointReader.newestValid(in: run, communicator: world)
    XCTAssertEqual(newest.path, second[1])
    XCTAssertEqual(
      newest.rejected.map(\.path), [second[0], "\(run)/checkpoints/stage2/step-99999999.h5", second[2]])
    XCTAssertTrue(newest.rejected.allSatisfy { !$0.reason.isEmpty })
    XCTAssertEqual(try CheckpointReader.newestValid(in: run).path, second[1])

    try world.barrier()
    if world.rank == 0 {
      for path in [first[0], first[1], second[1]] { try spoil(path) }
    }
    try world.barrier()
    let none = try CheckpointReader.newestValid(in: run, communicator: world)
    XCTAssertNil(none.path)
    XCTAssertEqual(none.rejected.count, 6)
    let nowhere = try CheckpointReader.newestValid(in: "\(run)/nowhere", communicator: world)
    XCTAssertNil(nowhere.path)
    XCTAssertEqual(nowhere.rejected, [])
  }

  func testTheOrderOfStagesDecidesBeforeTheStep() throws {
    let world = try sharedCommunicator()
    let run = try sharedDirectory(world)
    let mae = try save([50, 100], "\(run)/checkpoints/mae", world)
    let head = try save([20, 50], "\(run)/checkpoints/head", world)
    let old = try save([900], "\(run)/checkpoints/old", world)
    func newest(_ stages: [String]) throws -> String? {
      try CheckpointReader.newestValid(in: run, stages: stages, communicator: world).path
    }
    XCTAssertEqual(try newest(["mae", "head", "tune"]), head[1], "a later stage is newer whatever its step")
    XCTAssertEqual(try newest(["head", "mae"]), mae[1])
    XCTAssertEqual(try newest([]), old[0])
    XCTAssertEqual(
      try CheckpointReader.newestValid(inStage: "\(run)/checkpoints/mae", communicator: world).path, mae[1])
    XCTAssertEqual(CheckpointReader.newestNamed(inStage: "\(run)/checkpoints/mae")?.step, 100)
    XCTAssertNil(CheckpointReader.newestNamed(inStage: "\(run)/checkpoints/tune"))

    try world.barrier()
    if world.rank == 0 { for path in head + [mae[1]] { try spoil(path) } }
    try world.barrier()
    let left = try CheckpointReader.newestValid(in: run, stages: ["mae", "head"], communicator: world)
    XCTAssertEqual(left.path, mae[0], "what is not of a stage counts as older")
    XCTAssertEqual(left.rejected.map(\.path), [head[1], head[0], mae[1]])
  }

  func testRetentionGoesByStepNumber() throws {
    let world = try sharedCommunicator()
    let stage = "\(try sharedDirectory(world))/checkpoints/pretrain"
    let paths = try save([2, 10, 100, 99_999_999, 100_000_000, 1000], stage, world)
    if world.rank == 0 {
      try AtomicFile.write("foreign", to: "\(stage)/step-best.h5")
      try AtomicFile.write("foreign", to: "\(stage)/model.h5")
      let removed = try Retention.apply(stage, keepLast: 2, keepEvery: 100, verified: paths[4])
      XCTAssertEqual(removed, [paths[1], paths[0]])
      XCTAssertEqual(
        Directory.entries(stage),
        [
          "model.h5", "step-00000100.h5", "step-00001000.h5", "step-100000000.h5", "step-99999999.h5", "step-best.h5",
        ])
      XCTAssertEqual(try Retention.apply(stage, keepLast: 1), [paths[3], paths[5], paths[2]])
      XCTAssertEqual(try Retention.apply(stage, keepLast: 1), [])
      try CheckpointReader.verify(paths[4])
    }
  }

  func testTheOnlyWholeFileStays() throws {
    let world = try sharedCommunicator()
    let stage = "\(try sharedDirectory(world))/checkpoints/pretrain"
    let paths = try save([1, 2, 3, 4], stage, world)
    if world.rank == 0 {
      try spoil(paths[3])
      try spoil(paths[2])
      XCTAssertEqual(try Retention.apply(stage, keepLast: 1), [paths[2], paths[0]])
      XCTAssertEqual(Directory.entries(stage), ["step-00000002.h5", "step-00000004.h5"])
    }
  }
}
