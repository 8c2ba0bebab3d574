import Basics
import Checkpoints
import Foundation
import TestKit
import XCTest

/// Under `mpirun` all ranks take part.
final class CheckpointLoadTests: CollectiveTestCase {
  /// A file with tensors a [2, 2], b [3], c [1] holding 1, 2, 3.
  private func saved() throws -> String {
    let world = try sharedCommunicator()
    return try withTensors([("a", [2, 2], 1), ("b", [3], 2), ("c", [1], 3)]) { tensors in
      try CheckpointWriter.save(
        tensors, header: sampleHeader(step: 1), directory: try sharedDirectory(world), communicator: world)
    }
  }

  private func withTensors<R>(
    _ specifications: [(String, [Int], Float)], _ body: ([NamedTensor]) throws -> R
  ) throws -> R {
    let memory = UnsafeMutablePointer<Float>.allocate(capacity: 64)
    defer { memory.deallocate() }
    var used = 0
    let tensors = specifications.map { name, shape, value in
      let count = shape.reduce(1, *)
      (memory + used).initialize(repeating: value, count: count)
      defer { used += count }
      return NamedTensor(name: name, shape: shape, payload: .float32(memory + used))
    }
    return try body(tensors)
  }

  private func values(_ tensor: NamedTensor) -> [Float] {
    guard case .float32(let pointer) = tensor.payload else { return [] }
    return Array(UnsafeBufferPointer(start: pointer, count: tensor.count))
  }

  func testAMismatchIsRefusedWithATable() throws {
    let world = try sharedCommunicator()
    let path = try saved()
    try withTensors([("a", [4], 0), ("c", [1], 0), ("d", [1], 0)]) { tensors in
      let error = failure {
        _ = try CheckpointReader.load(into: tensors, from: path, communicator: world)
      }
      XCTAssertEqual(error?.code, .badData)
      XCTAssertEqual(error?.place, path)
      let lines = error?.what.split(separator: "\n").map(String.init) ?? []
      XCTAssertEqual(
        lines,
        [
          "the checkpoint does not fit the model:", "1 matched, 1 missing, 1 unexpected, 1 reshaped",
          "  missing     d", "  unexpected  b", "  reshaped    a: f32[2, 2] in the file, f32[4] in the model",
        ])
      XCTAssertEqual(values(tensors[1]), [0])
    }
  }

  func testPartialLoadingTakesWhatFits() throws {
    let world = try sharedCommunicator()
    let path = try saved()
    try withTensors([("a", [4], 0), ("c", [1], 0), ("d", [1], 9)]) { tensors in
      let report = try CheckpointReader.load(into: tensors, from: path, communicator: world, allowPartial: true)
      XCTAssertEqual(report.matched, ["c"])
      XCTAssertEqual(report.missing, ["d"])
      XCTAssertEqual(report.unexpected, ["b"])
      XCTAssertEqual(report.reshaped.map(\.name), ["a"])
      XCTAssertEqual(tensors.map(values), [[0, 0, 0, 0], [3], [9]])
    }
  }

  func testAPartOfTheFileCanBeAskedFor() throws {
    let world = try sharedCommunicator()
    let path = try saved()
    try withTensors([("b", [3], 0)]) { tensors in
      let report = try CheckpointReader.load(into: tensors, from: path, communicator: world, allowUnexpected: true)
      XCTAssertEqual(report.unexpected, ["a", "c"])
      XCTAssertEqual(values(tensors[0]), [2, 2, 2])
    }
    try withTensors([("b", [3], 0), ("d", [1], 0)]) { tensors in
      let error = failure {
        _ = try CheckpointReader.load(into: tensors, from: path, communicator: world, allowUnexpected: true)
      }
      XCTAssertEqual(error?.code, .badData)
    }
  }

  func testAnotherElementTypeDoesNotFit() throws {
    let world = try sharedCommunicator()
    let path = try saved()
    var number: [Int32] = [0]
    try number.withUnsafeMutableBufferPointer { buffer in
      let base = try XCTUnwrap(buffer.baseAddress)
      let tensor = NamedTensor(name: "c", shape: [1], payload: .int32(base))
      let report = try CheckpointReader.load(into: [tensor], from: path, communicator: world, allowPartial: true)
      XCTAssertEqual(report.reshaped.map(\.inModel), ["i32[1]"])
    }
  }
}
