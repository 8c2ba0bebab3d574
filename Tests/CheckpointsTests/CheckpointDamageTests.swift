import Basics
import Checkpoints
import Foundation
import Messaging
import Storage
import TestKit
import XCTest

/// Collective: under `mpirun` all ranks take part, each with damaged copies of its own.
final class CheckpointDamageTests: CollectiveTestCase {
  /// A whole file with small tensors, and a folder of this rank.
  private func saved(large: Bool, _ world: Communicator) throws -> (path: String, samples: Samples) {
    let samples = Samples(seed: 7, large: large)
    let path = try CheckpointWriter.save(
      samples.tensors, header: sampleHeader(step: 1), directory: try sharedDirectory(world), communicator: world)
    return (path, samples)
  }

  /// Flips one bit of a file, calls `body`, and flips it back.
  private func withFlippedBit(_ path: String, at place: Int, _ body: () throws -> Void) throws {
    let file = try ByteFile.open(path, writable: true)
    let byte = try file.bytes(1, at: place)
    try file.write([byte[0] ^ (1 << UInt8(place % 8))], at: place)
    let outcome = Result { try body() }
    try file.write(byte, at: place)
    try outcome.get()
  }

  func testAFlippedBitInAnyByteOfTheFileIsFound() throws {
    let world = try sharedCommunicator()
    let (path, _) = try saved(large: false, world)
    let copy = "\(ownDirectory())/step-00000001.h5"
    try FileManager.default.copyItem(atPath: path, toPath: copy)
    try CheckpointReader.verify(copy)
    // No byte is unused: what is neither tensor nor table nor seal counts as metadata, padding too.
    for place in stride(from: world.rank, to: contents(copy).count, by: world.size) {
      try withFlippedBit(copy, at: place) {
        XCTAssertEqual(failure { try CheckpointReader.verify(copy) }?.code, .badData, "byte \(place)")
      }
    }
    try CheckpointReader.verify(copy)
  }

  func testDamageOfATensorNamesItAndTheChunk() throws {
    let world = try sharedCommunicator()
    let (path, samples) = try saved(large: true, world)
    let copy = "\(ownDirectory())/step-00000001.h5"
    try FileManager.default.copyItem(atPath: path, toPath: copy)
    for tensor in samples.tensors where tensor.bytes > 0 {
      let file = try H5File.open(copy)
      let info = try file.dataset(tensor.name)
      try file.close()
      for place in Set([0, tensor.bytes / 2, tensor.bytes - 1]) {
        try withFlippedBit(copy, at: (info.offset ?? 0) + place) {
          let error = failure { try CheckpointReader.verify(copy) }
          XCTAssertEqual(error?.code, .badData)
          XCTAssertEqual(error?.what, "the checksum of \(tensor.name), chunk \(place >> 22), does not match")
          XCTAssertEqual(error?.place, "\(copy), \(tensor.name)")
          XCTAssertNotNil(error?.hint)
        }
      }
    }
  }

  func testAllRanksSeeDamageThatOneOfThemFinds() throws {
    let world = try sharedCommunicator()
    let (path, samples) = try saved(large: true, world)
    let last = try XCTUnwrap(samples.tensors.last { $0.name == "teacher/odd" })
    if world.rank == 0 {
      let file = try H5File.open(path)
      let offset = try file.dataset(last.name).offset ?? 0
      try file.close()
      let bytes = try ByteFile.open(path, writable: true)
      try bytes.write([try bytes.bytes(1, at: offset + 5_000_000)[0] ^ 4], at: offset + 5_000_000)
    }
    try world.barrier()
    let text = "the checksum of teacher/odd, chunk 1, does not match"
    let verified = failure { try CheckpointReader.verify(path, communicator: world) }
    XCTAssertTrue(verified?.what.hasSuffix(text) ?? false, verified?.what ?? "")
    let loaded = failure { _ = try CheckpointReader.load(into: samples.tensors, from: path, communicator: world) }
    XCTAssertEqual(loaded?.code, .badData)
    XCTAssertTrue(loaded?.what.hasSuffix(text) ?? false, loaded?.what ?? "")
  }

  func testAFileOfAnyOtherLengthIsRefused() throws {
    let world = try sharedCommunicator()
    let (path, _) = try saved(large: false, world)
    let whole = contents(path)
    let copy = "\(ownDirectory())/step-00000001.h5"
    for length in Array(stride(from: 0, to: whole.count, by: 97)) + [4095, 4096, 4097, whole.count - 1] {
      try AtomicFile.write(Array(whole[..<length]), to: copy)
      let error = failure { try CheckpointReader.verify(copy) }
      XCTAssertEqual(error?.code, .badData, "\(length) bytes")
      XCTAssertEqual(failure { _ = try CheckpointReader.header(copy) }?.code, .badData, "\(length) bytes")
    }
    try AtomicFile.write(whole + [0], to: copy)
    XCTAssertEqual(
      failure { try CheckpointReader.verify(copy) }?.what,
      "the file has \(whole.count + 1) bytes and should have \(whole.count)")
  }

  func testFilesThatAreNoCheckpointsAreRefusedWithAReason() throws {
    let folder = ownDirectory()
    let foreign = try H5File.create("\(folder)/foreign.h5")
    try foreign.createDataset("x", .float32, shape: [10_000])
    try foreign.close()
    XCTAssertEqual(
      failure { try CheckpointReader.verify("\(folder)/foreign.h5") }?.what,
      "no sslmpi-checkpoint-1 file: it holds no checksums")

    let unsealed = try H5File.create("\(folder)/unsealed.h5", userBlock: 4096)
    try unsealed.setAttribute("format", .string("sslmpi-checkpoint-1"))
    try unsealed.close()
    XCTAssertEqual(
      failure { try CheckpointReader.verify("\(folder)/unsealed.h5") }?.what,
      "the file was never finished: it holds no checksums")

    let missing = failure { try CheckpointReader.verify("\(folder)/missing.h5") }
    XCTAssertEqual(missing?.code, .inputMissing)
  }
}
