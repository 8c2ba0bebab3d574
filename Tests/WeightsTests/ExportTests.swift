import Basics
import Checkpoints
import Layers
import Messaging
import TestKit
import Tensors
import XCTest

@testable import Weights

/// Under `mpirun` all ranks take part.
final class ExportTests: XCTestCase {
  private let small = ViTConfiguration(width: 16, depth: 2, heads: 2, patch: 4, imgSize: 16)
  private let decoder = DecoderConfiguration(width: 8, depth: 1, heads: 2)

  /// The weights of `tools/golden/foreign_models.py` for a tensor of timm.
  private func goldenNumbers(_ name: String, _ shape: [Int], seed: Int) -> [Float] {
    let isScale = name.contains("norm") && name.hasSuffix("weight")
    let fanIn = [2, 4].contains(shape.count) ? shape.dropFirst().reduce(1, *) : 1
    let scale = isScale ? 0.125 : fanIn > 32 ? 0.0625 : fanIn > 1 ? 0.125 : 0.25
    return goldenSequence(shape.reduce(1, *), seed: seed).map { Float($0 * scale + (isScale ? 1 : 0)) }
  }

  func testTimmLoadsTheSameModelAndComputesTheSameTokens() throws {
    let world = try sharedCommunicator()
    let golden = Golden.load("timm")
    let sizes = ViTConfiguration(width: 64, depth: 4, heads: 4, patch: 4, imgSize: 32)
    for classTokens in [1, 2] {
      let names = golden.text("\(classTokens)/names").split(separator: ",").map(String.init)
      let shapes = golden.text("\(classTokens)/shapes").split(separator: ";").map {
        $0.split(separator: ",").map { Int($0) ?? 0 }
      }
      let numbers = zip(names, shapes).enumerated().map { seed, entry in
        goldenNumbers(entry.0, entry.1, seed: seed + 1)
      }
      let model = try SampleModel(world, sizes, classTokens: classTokens) { parameter in
        guard let name = WeightNames.timm.theirs(parameter.name)?.first else { return nil }
        return names.firstIndex(of: name).map { numbers[$0] }
      }
      let encoder = try Encoder(model.path, communicator: world)
      let images = Tensor(goldenSequence(3 * 32 * 32, seed: 1000).map { Float(1.5 * $0) }, [1, 3, 32, 32])
      let tokens = encoder.tokens(images)
      XCTAssertEqual(tokens.shape.dims, golden.shape("\(classTokens)/tokens"))
      for (a, b) in zip(tokens.array, golden.floats("\(classTokens)/tokens")) { XCTAssertEqual(a, b, accuracy: 1e-4) }

      let path = model.directory + "/timm.safetensors"
      try WeightExport(encoder, names: .timm, communicator: world).write(to: path, communicator: world)
      let file = try SafetensorsFile(path)
      XCTAssertEqual(Set(file.names), Set(names))
      XCTAssertEqual(file.metadata["format"], "pt")
      for (place, name) in names.enumerated() {
        XCTAssertEqual(file.shape(name), shapes[place], name)
        let expected =
          name == "pos_embed"
          ? [Float](repeating: 0, count: 64 * classTokens) + sinCosPositions(width: 64, grid: 8).array : numbers[place]
        XCTAssertEqual(try file.tensor(name).array, expected, name)
      }
    }
  }

  func testExportThenImportIsBitwise() throws {
    let world = try sharedCommunicator()
    for (classTokens, positions, names) in [
      (1, .sinCos, .timm), (2, .sinCos, .timm), (2, .stored, .timm), (1, .stored, .dino), (1, .sinCos, .mae),
      (1, .stored, .huggingFace),
    ] as [(Int, PositionKind, WeightNames)] {
      var sizes = small
      sizes.positions = positions
      let model = try SampleModel(
        world, sizes, decoder: names.hasDecoder ? decoder : nil, classTokens: classTokens)
      let (out, back) = (model.directory + "/out.safetensors", model.directory + "/back.h5")
      let export = try WeightExport(Encoder(model.path, communicator: world), names: names, communicator: world)
      try export.write(to: out, communicator: world)
      let imported = try WeightImport(out, model: nil, communicator: world)
      XCTAssertTrue(imported.report.isFull, imported.report.table.joined(separator: "\n"))
      XCTAssertEqual(imported.report.unexpected, [])
      XCTAssertEqual(imported.configuration, sizes)
      XCTAssertEqual(imported.hasDecoder, names.hasDecoder)
      try imported.write(to: back, program: "test", communicator: world)
      XCTAssertEqual(
        Set(try CheckpointReader.list(back).map(\.name)), Set(try CheckpointReader.list(model.path).map(\.name)))
      let encoder = try Encoder(back, communicator: world)
      for (name, values) in SampleModel.weights(of: encoder.arena) { XCTAssertEqual(values, model.weights[name], name) }
      XCTAssertEqual(encoder.mean, [0.5, 0.4, 0.3])
      XCTAssertEqual(encoder.header.step, 0)
      let again = try WeightExport(encoder, names: names, communicator: world)
      XCTAssertEqual(again.tensors.map(\.name), export.tensors.map(\.name))
      for (a, b) in zip(again.tensors, export.tensors) { XCTAssertEqual(a.value.array, b.value.array, a.name) }
    }
  }

  func testOneOfTwoClassTokensCanBeLeftOut() throws {
    let world = try sharedCommunicator()
    let model = try SampleModel(world, small, classTokens: 2)
    let encoder = try Encoder(model.path, communicator: world)
    for kept in [0, 1] {
      let export = try WeightExport(encoder, names: .dino, classToken: kept, communicator: world)
      XCTAssertFalse(export.tensors.contains { $0.name == "reg_token" })
      let token = export.tensors.first { $0.name == "cls_token" }?.value
      XCTAssertEqual(token?.array, model.weights[kept == 0 ? "cls_token" : "cls_token_1"])
      XCTAssertEqual(export.tensors.first { $0.name == "pos_embed" }?.value.shape, [1, 17, 16])
      XCTAssertEqual(export.warnings.count, 1)
      XCTAssertTrue(export.warnings[0].contains("class token \(1 - kept) is left out"))
    }
    XCTAssertEqual(try WeightExport(encoder, names: .timm, communicator: world).warnings, [])
    let unplaced = thrown { _ = try WeightExport(encoder, names: .huggingFace, communicator: world) }
    XCTAssertEqual(unplaced?.code, .usage)
    XCTAssertTrue(unplaced?.hint?.contains("--cls-only") == true)
    let missing = thrown { _ = try WeightExport(encoder, names: .timm, classToken: 2, communicator: world) }
    XCTAssertEqual(missing?.code, .usage)
  }

  func testPositionsAreWrittenForAnotherSide() throws {
    let world = try sharedCommunicator()
    let model = try SampleModel(world, small, decoder: decoder)
    let encoder = try Encoder(model.path, communicator: world).resized(to: 24)
    let export = try WeightExport(encoder, names: .mae, communicator: world)
    let table = export.tensors.first { $0.name == "pos_embed" }?.value
    XCTAssertEqual(table?.shape, [1, 37, 16])
    XCTAssertEqual(table?.array.suffix(36 * 16), resampledPositions(model.vit.positions, from: 4, to: 6).array[...])
    let own = export.tensors.first { $0.name == "decoder_pos_embed" }?.value
    XCTAssertEqual(own?.array.suffix(36 * 8), sinCosPositions(width: 8, grid: 6).array[...])
  }

  func testADecoderGoesAlongWhereTheNamesHaveAPlace() throws {
    let world = try sharedCommunicator()
    let encoder = try Encoder(SampleModel(world, small, decoder: decoder).path, communicator: world)
    for names in WeightNames.allCases {
      let export = try WeightExport(encoder, names: names, communicator: world)
      XCTAssertEqual(export.tensors.contains { $0.name.contains("mask_token") }, names.hasDecoder)
      XCTAssertEqual(export.tensors.contains { $0.name.contains("decoder") }, names.hasDecoder)
      XCTAssertTrue(export.snippet("out.safetensors").contains("load_file(\"out.safetensors\")"))
    }
    let alone = try Encoder(SampleModel(world, small).path, communicator: world)
    XCTAssertTrue(
      try WeightExport(alone, names: .huggingFace, communicator: world).snippet("a").contains("ViTMAEModel"))
  }
}
