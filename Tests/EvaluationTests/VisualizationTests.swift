import Basics
import Checkpoints
import Foundation
import Images
import Layers
import Messaging
import TestKit
import XCTest

@testable import Evaluation

final class VisualizationTests: XCTestCase {
  private let shapes = "synth:tinyshapes?n=20&size=16&split=val"
  private let scenes = "synth:tinyshapes?n=8&size=16&split=scenes-val"

  private func draw(
    _ kind: PictureKind, _ target: String, _ data: String, _ world: Communicator, images: Int? = nil,
    _ parameters: String...
  ) throws -> (directory: String, lines: [String]) {
    let directory = try world.broadcast(world.isCoordinator ? temporaryDirectory("pictures") : "")
    var request = EvaluationRequest(name: kind.rawValue, target: target)
    (request.val, request.overrides) = (data, parameters)
    let lines = try Visualization.run(kind, request, images: images, to: directory, world) { _ in }
    return (directory, lines)
  }

  private func json(_ directory: String, _ kind: PictureKind) throws -> JSON {
    try JSON.parse(try String(contentsOfFile: "\(directory)/\(kind.rawValue).json", encoding: .utf8))
  }

  func testEveryKindButTheReconstructionDrawsFromAnyEncoder() throws {
    let world = try sharedCommunicator()
    let path = try smallEncoder(world, classTokens: 2).path
    for kind in PictureKind.allCases where kind != .recon {
      let isDense = [.attention, .similarity, .patchkmeans, .pca].contains(kind)
      let drawn = try draw(kind, path, isDense ? scenes : shapes, world)
      XCTAssertEqual(
        Array(drawn.lines.prefix(world.isCoordinator ? 2 : 0)),
        world.isCoordinator
          ? ["\(drawn.directory)/\(kind.rawValue).png", "\(drawn.directory)/\(kind.rawValue).json"] : [])
      guard world.isCoordinator else { continue }
      let bytes = try Data(contentsOf: URL(fileURLWithPath: "\(drawn.directory)/\(kind.rawValue).png"))
      XCTAssertEqual(Array(bytes.prefix(8)), [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A], kind.rawValue)
      XCTAssertNotNil(try json(drawn.directory, kind).members, kind.rawValue)
    }
  }

  func testNumbersBehindPicturesFitTheData() throws {
    let world = try sharedCommunicator()
    let path = try smallEncoder(world).path
    let confusion = try draw(.confusion, path, shapes, world).directory
    let map = try draw(.map, path, shapes, world).directory
    let attention = try draw(.attention, path, scenes, world, images: 3).directory
    let picked = try draw(.pca, path, scenes, world, "pick=[5, 2, 5]").directory
    guard world.isCoordinator else { return }
    let counts = try json(confusion, .confusion)["counts"]?.arrayValue ?? []
    XCTAssertEqual(
      counts.map { $0.arrayValue?.compactMap(\.intValue).reduce(0, +) }, [Int?](repeating: 2, count: 10),
      "rows sum to the images of their class")
    XCTAssertEqual(
      counts.indices.reduce(0) { $0 + (counts[$1].arrayValue?[$1].intValue ?? 0) },
      try json(confusion, .confusion)["matches"]?.intValue)
    XCTAssertEqual(try json(map, .map)["places"]?.arrayValue?.count, 20)
    XCTAssertEqual(try json(attention, .attention)["rows"]?.arrayValue?.count, 3)
    XCTAssertEqual(try json(picked, .pca)["images"], .array([.int(2), .int(5)]))
  }

  func testAReconstructionNeedsADecoderAndShowsWhatItPredicts() throws {
    let world = try sharedCommunicator()
    XCTAssertThrowsError(try draw(.recon, try smallEncoder(world).path, shapes, world)) { error in
      XCTAssertEqual((error as? Failure)?.code, .badData)
      XCTAssertTrue("\(error)".contains("no decoder"), "\(error)")
    }
    let path = try smallAutoencoder(world)
    let drawn = try draw(.recon, path, shapes, world, images: 2, "layerwise=true", "mask_ratio=0")
    guard world.isCoordinator else { return }
    XCTAssertEqual(
      drawn.lines, ["recon.png", "recon-layers.png", "recon.json"].map { "\(drawn.directory)/\($0)" })
    XCTAssertEqual(
      try json(drawn.directory, .recon)["mean_absolute_error"], .array([.double(0), .double(0)]),
      "where nothing is removed the input is pasted exactly")
  }

  func testMistakesAreNamed() throws {
    let world = try sharedCommunicator()
    let path = try smallEncoder(world).path
    func failure(
      _ kind: PictureKind, images: Int? = nil, _ parameter: String, file: StaticString = #filePath, line: UInt = #line
    )
      -> Failure?
    {
      do {
        _ = try draw(kind, path, shapes, world, images: images, parameter)
        XCTFail("\(kind) \(parameter) draws", file: file, line: line)
        return nil
      } catch { return error as? Failure }
    }
    XCTAssertEqual(failure(.attention, "mess=0.5")?.code, .badConfig)
    XCTAssertEqual(failure(.attention, "mass=2")?.code, .badConfig)
    XCTAssertEqual(failure(.pca, images: 21, "split=val")?.code, .badConfig)
    XCTAssertEqual(failure(.pca, "pick=[20]")?.what, "there is no image 20 among 20")
    XCTAssertEqual(failure(.map, images: 3, "split=val")?.code, .usage)
    XCTAssertEqual(failure(.clusters, "pick=[1]")?.code, .badConfig)
    XCTAssertEqual(failure(.pca, "split=train")?.code, .inputMissing)
    XCTAssertEqual(failure(.confusion, "k=21")?.code, .badConfig)
  }
}

/// A masked autoencoder of width 16 on 16 x 16 pixels with random weights.
///
/// - Collective: all ranks.
private func smallAutoencoder(_ communicator: Communicator) throws -> String {
  let builder = ModelBuilder(seed: 5)
  let sizes = ViTConfiguration(width: 16, depth: 2, heads: 2, patch: 4, imgSize: 16)
  _ = ViT(sizes, builder)
  _ = MAEDecoder(DecoderConfiguration(width: 8, depth: 1, heads: 2), of: sizes, builder)
  let arena = builder.build()
  let directory = try communicator.broadcast(communicator.isCoordinator ? temporaryDirectory("autoencoder") : "")
  let header = CheckpointHeader(
    step: 1, epoch: 1, imagesSeen: 8, seed: 0, globalBatch: 8,
    config: #"{"method":"mae","model":{"arch":"vit_tiny_patch4_32","width":16,"depth":2,"heads":2,"patch":4,"#
      + #""img_size":16,"decoder":{"dim":8,"depth":1,"heads":2}},"mae":{"mask_ratio":0.5}}"#,
    configHash: "0", worldSize: communicator.size, method: "mae", model: "small")
  let tensors = arena.parameters.map {
    NamedTensor(name: "student/\($0.name)", shape: $0.shape.dims, payload: .float32($0.value.pointer))
  }
  return try CheckpointWriter.save(
    tensors, header: header, directory: "\(directory)/checkpoints/mae", verify: false, communicator: communicator)
}
