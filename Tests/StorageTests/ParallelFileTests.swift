import Basics
import Messaging
import Storage
import TestKit
import XCTest

/// Collective: under `mpirun` all ranks take part.
final class ParallelFileTests: XCTestCase {
  func testRanksWriteTheirPartsAndOneHasNone() throws {
    let world = try sharedCommunicator()
    let path = "\(try sharedDirectory(world))/parallel.h5"
    let shape = [5, 7, 3]
    let values = (0..<105).map { Float($0) }
    if world.rank == 0 {
      let file = try H5File.create(path)
      try file.createDataset("group/x", .float32, shape: shape)
      try file.createDataset("scalar", .float32, shape: [])
      try file.close()
    }
    try world.barrier()

    let file = try H5File.openParallel(path, communicator: world)
    // The last rank has nothing when there are others.
    let writers = max(1, world.size - 1)
    let range = world.rank < writers ? blockRange(count: 105, part: world.rank, of: writers) : 105..<105
    try values.withUnsafeBytes { bytes in
      let start = try XCTUnwrap(bytes.baseAddress) + range.lowerBound * 4
      try file.write("group/x", .float32, from: start, boxes: Hyperslab.covering(range, of: shape))
    }
    let whole = Hyperslab.covering(world.rank == 0 ? 0..<1 : 0..<0, of: [])
    try file.write("scalar", .float32, from: [2.5] as [Float], boxes: whole)
    try file.close()
    try world.barrier()

    let back = try H5File.open(path)
    var read = [Float](repeating: -1, count: 105)
    try back.read("group/x", .float32, into: &read)
    var scalar: [Float] = [0]
    try back.read("scalar", .float32, into: &scalar)
    try back.close()
    XCTAssertEqual(read, values)
    XCTAssertEqual(scalar, [2.5])
  }

  func testAllRanksThrowWhenTheFileIsMissing() throws {
    let world = try sharedCommunicator()
    let path = "\(try sharedDirectory(world))/missing.h5"
    XCTAssertThrowsError(try H5File.openParallel(path, communicator: world)) { error in
      XCTAssertEqual((error as? Failure)?.code, .badData)
    }
    try world.barrier()
  }
}
