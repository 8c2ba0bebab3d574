import Basics
import Checkpoints
import Foundation
import Storage
import TestKit
import XCTest

/// Under `mpirun` all ranks take part.
final class CheckpointSaveTests: CollectiveTestCase {
  func testEveryTensorAndTheHeaderComeBack() throws {
    let world = try sharedCommunicator()
    for engine in CheckpointEngine.allCases {
      let stage = "\(try sharedDirectory(world))/checkpoints/pretrain"
      let samples = Samples(seed: 1)
      let expected = samples.bytes
      let path = try CheckpointWriter.save(
        samples.tensors, header: sampleHeader(step: 100, worldSize: world.size), directory: stage, engine: engine,
        communicator: world)
      XCTAssertEqual(path, "\(stage)/step-00000100.h5")
      XCTAssertEqual(Directory.entries(stage), ["step-00000100.h5"])
      samples.clear()
      let report = try CheckpointReader.load(into: samples.tensors, from: path, communicator: world)
      XCTAssertEqual(samples.bytes, expected, "\(engine) on rank \(world.rank)")
      XCTAssertEqual(report.matched.count, samples.tensors.count)
      XCTAssertEqual(report.table, ["16 matched, 0 missing, 0 unexpected, 0 reshaped"])
      XCTAssertEqual(report.header.step, 100)

      let header = try CheckpointReader.header(path)
      XCTAssertEqual(header.step, 100)
      XCTAssertEqual(header.epoch, 12.5)
      XCTAssertEqual(header.imagesSeen, 6400)
      XCTAssertEqual(header.seed, UInt64.max - 3)
      XCTAssertEqual(header.globalBatch, 64)
      XCTAssertEqual(header.config, "{\"name\": \"test \u{e4}\"}")
      XCTAssertEqual(header.configHash, "0123abcd")
      XCTAssertEqual(header.worldSize, world.size)
      XCTAssertEqual(header.method, "mae")
      XCTAssertEqual(header.model, "vit_tiny_patch16_224")
      XCTAssertEqual(header.versions.map(\.0), ["sslmpi", "hdf5"])
      XCTAssertEqual(header.versions.map(\.1), ["0.1", "1.10"])
      XCTAssertEqual(header.extra.map(\.0), ["data"])
      XCTAssertEqual(header.stage, "pretrain")
      XCTAssertEqual(header.extra.map(\.1), ["images"])
      let list = try CheckpointReader.list(path)
      XCTAssertEqual(list.map(\.name), samples.tensors.map(\.name))
      XCTAssertEqual(list.map(\.shape), samples.tensors.map(\.shape))
      XCTAssertEqual(list.map(\.kind), samples.tensors.map(\.kind))
    }
  }

  func testBothEnginesWriteTheSameDatasets() throws {
    let world = try sharedCommunicator()
    let samples = Samples(seed: 2)
    let paths = try CheckpointEngine.allCases.map { engine in
      try CheckpointWriter.save(
        samples.tensors, header: sampleHeader(step: 1), directory: try sharedDirectory(world), engine: engine,
        communicator: world)
    }
    let files = try paths.map { try H5File.open($0) }
    let outcome = Result {
      for (tensor, expected) in zip(samples.tensors, samples.bytes) where tensor.bytes > 0 {
        for file in files {
          var bytes = [UInt8](repeating: 0, count: tensor.bytes)
          try file.read(tensor.name, tensor.kind, into: &bytes)
          XCTAssertEqual(bytes, expected, "\(tensor.name) in \(file.path)")
        }
      }
    }
    for file in files { try file.close() }
    try outcome.get()
    // Nothing in the file depends on time, engine or rank count, so even the whole files agree.
    XCTAssertEqual(contents(paths[0]), contents(paths[1]))
  }

  func testSavingAgainReplacesTheFileAndTheLinkFollows() throws {
    let world = try sharedCommunicator()
    let root = "\(try sharedDirectory(world))/checkpoints"
    for (stage, step, seed) in [("a", 1, 1), ("a", 1, 2), ("b", 3, 3)] as [(String, Int, UInt64)] {
      let samples = Samples(seed: seed, large: false)
      let expected = samples.bytes
      let path = try CheckpointWriter.save(
        samples.tensors, header: sampleHeader(step: step), directory: "\(root)/\(stage)", verify: false,
        communicator: world)
      samples.clear()
      _ = try CheckpointReader.load(into: samples.tensors, from: "\(root)/last.h5", communicator: world)
      XCTAssertEqual(samples.bytes, expected)
      try CheckpointReader.verify(path, communicator: world)
    }
    XCTAssertEqual(Directory.entries(root), ["a", "b", "last.h5"])
    XCTAssertEqual(try FileManager.default.destinationOfSymbolicLink(atPath: "\(root)/last.h5"), "b/step-00000003.h5")
  }

  func testAFileWithoutTensorsIsAFileToo() throws {
    let world = try sharedCommunicator()
    for engine in CheckpointEngine.allCases {
      let path = try CheckpointWriter.save(
        [], header: sampleHeader(step: 0), directory: try sharedDirectory(world), engine: engine, communicator: world)
      try CheckpointReader.verify(path)
      XCTAssertEqual(try CheckpointReader.list(path), [])
      try world.barrier()
    }
  }

  func testOtherProgramsReadTheFile() throws {
    let world = try sharedCommunicator()
    let samples = Samples(seed: 5)
    let path = try CheckpointWriter.save(
      samples.tensors, header: sampleHeader(step: 1), directory: try sharedDirectory(world), communicator: world)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["h5dump", "-n", path]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let tree = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    XCTAssertEqual(process.terminationStatus, 0)
    for tensor in samples.tensors { XCTAssertTrue(tree.contains("dataset    /\(tensor.name)\n"), tensor.name) }
    XCTAssertTrue(tree.contains("dataset    /integrity/chunks\n"))
  }
}
