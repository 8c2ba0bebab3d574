import Basics
import Checkpoints
import Foundation
import Messaging
import Storage
import TestKit
import XCTest

/// Under `mpirun` all ranks take part.
final class StepRecordTests: CollectiveTestCase {
  private let globalBatch = 7

  /// A record of a step over 7 images: what each rank has is a function of the image's place in the batch.
  private func write(_ world: Communicator) throws -> String {
    let path = "\(try sharedDirectory(world))/step.h5"
    var record = StepRecord(method: "mae", config: "{\"a\":1}", seed: 5, step: 12, communicator: world)
    record.addSchedule("lr", 0.25)
    record.addSchedule("weight_decay", 0.05)
    let own = blockRange(count: globalBatch, part: world.rank, of: world.size)
    // As with micro-batches: one image after another.
    for image in own {
      record.addGathered("samples/index", wide: [Int64(image) * 1_000_000_000_000], perImage: [])
      record.addGathered("views/0", floats: (0..<12).map { Float(image * 12 + $0) }, perImage: [3, 2, 2])
    }
    record.addGathered(
      "draws/mask_order/0", ints: own.flatMap { image in (0..<4).map { Int32(image * 4 + $0) } }, perImage: [4])
    record.add("draws/codebook_view", ints: [1, 0, 2], shape: [3])
    var weights: [Float] = [1, 2, 3, 4, 5, 6]
    weights.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      let tensor = NamedTensor(name: "blocks.0.attn.qkv.weight", shape: [2, 3], payload: .float32(base))
      record.add("weights_before", tensor)
      base[0] = 100
      record.add("weights_after", tensor)
    }
    record.addLoss("patches", 0.5)
    record.addLoss("total", 1.0 / 3)
    try record.write(to: path, communicator: world)
    return path
  }

  func testTheLayoutIsTheAgreedOne() throws {
    let world = try sharedCommunicator()
    let path = try write(world)
    let file = try H5File.open(path)
    let outcome = Result {
      let datasets = try file.datasets()
      XCTAssertEqual(
        datasets.map { "\($0.name) \($0.kind?.rawValue ?? "?") \($0.shape)" },
        [
          "draws/codebook_view i32 [3]", "draws/mask_order/0 i32 [7, 4]", "loss/patches f64 []", "loss/total f64 []",
          "samples/index i64 [7]", "views/0 f32 [7, 3, 2, 2]", "weights_after/blocks.0.attn.qkv.weight f32 [2, 3]",
          "weights_before/blocks.0.attn.qkv.weight f32 [2, 3]",
        ])
      XCTAssertEqual(
        try file.attributes().map(\.name), ["config", "format", "method", "seed", "stage", "step", "world_size"])
      XCTAssertEqual(try file.attribute("format"), .string("sslmpi-step-1"))
      XCTAssertEqual(try file.attribute("world_size"), .int(Int64(world.size)))
      XCTAssertEqual(try file.attributes(of: "schedule").map(\.name), ["lr", "weight_decay"])
      XCTAssertEqual(try file.attributes(of: "schedule").map(\.value), [.double(0.25), .double(0.05)])

      var samples = [Int64](repeating: 0, count: 7)
      try file.read("samples/index", .int64, into: &samples)
      XCTAssertEqual(samples, (0..<7).map { $0 * 1_000_000_000_000 })
      var views = [Float](repeating: 0, count: 84)
      try file.read("views/0", .float32, into: &views)
      XCTAssertEqual(views, (0..<84).map { Float($0) })
      var order = [Int32](repeating: 0, count: 28)
      try file.read("draws/mask_order/0", .int32, into: &order)
      XCTAssertEqual(order, (0..<28).map { Int32($0) })
      var weights = [Float](repeating: 0, count: 6)
      try file.read("weights_before/blocks.0.attn.qkv.weight", .float32, into: &weights)
      XCTAssertEqual(weights, [1, 2, 3, 4, 5, 6])
      try file.read("weights_after/blocks.0.attn.qkv.weight", .float32, into: &weights)
      XCTAssertEqual(weights, [100, 2, 3, 4, 5, 6])
      var total = [0.0]
      try file.read("loss/total", .float64, into: &total)
      XCTAssertEqual(total, [1.0 / 3])
    }
    try file.close()
    try outcome.get()
    XCTAssertEqual(Directory.entries(String(path.dropLast("/step.h5".count))), ["step.h5"])
  }

  func testAPathThatCannotBeWrittenIsAnAgreedError() throws {
    let world = try sharedCommunicator()
    let record = StepRecord(method: "mae", config: "{}", seed: 1, step: 1, communicator: world)
    let error = failure { try record.write(to: "/no/such/folder/step.h5", communicator: world) }
    XCTAssertEqual(error?.code, .cannotCreate)
  }

  func testInspectionDescribesBothFormats() throws {
    let world = try sharedCommunicator()
    let step = try Inspection.describe(try write(world), verify: true)
    XCTAssertEqual(step.format, "sslmpi-step-1")
    XCTAssertFalse(step.isVerified)
    XCTAssertTrue(step.lines.contains("    0 i32[7, 4]"), step.lines.joined(separator: "\n"))
    XCTAssertEqual(step.json["datasets"]?.arrayValue?.count, 8)

    let samples = Samples(seed: 1)
    let path = try CheckpointWriter.save(
      samples.tensors, header: sampleHeader(step: 3), directory: try sharedDirectory(world), communicator: world)
    let whole = try Inspection.describe(path, verify: true)
    XCTAssertEqual(whole.format, "sslmpi-checkpoint-1")
    XCTAssertTrue(whole.isVerified)
    XCTAssertNil(whole.damage)
    XCTAssertEqual(whole.json["verified"], .bool(true))
    XCTAssertEqual(whole.json["attributes"]?["step"], .int(3))
    for line in ["student/", "  blocks.0.attn.qkv.weight f32[7, 5]", "  updates i64[]", "method: \"mae\""] {
      XCTAssertTrue(whole.lines.contains(line), "\(line) not in\n\(whole.lines.joined(separator: "\n"))")
    }

    let copy = "\(ownDirectory())/copy.h5"
    try FileManager.default.copyItem(atPath: path, toPath: copy)
    let offset = try XCTUnwrap(whole.datasets.first { $0.name == "student/head.weight" }?.offset)
    try ByteFile.open(copy, writable: true).write([1, 2, 3, 4, 5, 6, 7, 8], at: offset)
    let damaged = try Inspection.describe(copy, verify: true)
    XCTAssertEqual(damaged.damage?.code, .badData)
    XCTAssertEqual(damaged.lines.last, "verify: the checksum of student/head.weight, chunk 0, does not match")
    XCTAssertEqual(damaged.json["verified"], .bool(false))
  }
}
