import Basics
import Checkpoints
import Storage
import TestKit
import XCTest

/// Checkpoints that belong to no run. Under `mpirun` all ranks take part.
final class CheckpointFileTests: CollectiveTestCase {
  func testAFileOfAnyNameIsACheckpointAndLeavesItsFolderAlone() throws {
    let world = try sharedCommunicator()
    let directory = try sharedDirectory(world) + "/a/b"
    let path = "\(directory)/model.h5"
    for seed in [1, 2] {
      let samples = Samples(seed: UInt64(seed), large: false)
      try CheckpointWriter.write(samples.tensors, header: sampleHeader(step: 0), to: path, communicator: world)
      try CheckpointReader.verify(path, communicator: world)
      let (target, expected) = (Samples(seed: 9, large: false), Samples(seed: UInt64(seed), large: false))
      _ = try CheckpointReader.load(into: target.tensors, from: path, communicator: world)
      XCTAssertEqual(target.bytes, expected.bytes)
    }
    try world.barrier()
    XCTAssertEqual(Directory.entries(directory), ["model.h5"])
    XCTAssertEqual(Directory.entries("\(directory)/.."), ["b"])
  }
}
