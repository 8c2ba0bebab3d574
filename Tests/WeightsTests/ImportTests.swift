import Autodiff
import Basics
import Checkpoints
import Layers
import Messaging
import TestKit
import Tensors
import XCTest

@testable import Weights

/// Files of other programs. Under `mpirun` all ranks take part.
final class ImportTests: XCTestCase {
  private let sizes = [
    "model.width=16", "model.depth=2", "model.heads=2", "model.patch=4", "model.img_size=16", "model.decoder.heads=2",
  ]
  private let images = Tensor(goldenSequence(2 * 3 * 16 * 16, seed: 1001).map { Float(1.5 * $0) }, [2, 3, 16, 16])
  private let golden = Golden.load("foreign")

  private func read(
    _ path: String, _ world: Communicator, _ words: [String]? = nil, model: String? = "vit_tiny_patch16_224",
    allowPartial: Bool = false
  ) throws -> WeightImport {
    try WeightImport(path, model: model, words: words ?? sizes, allowPartial: allowPartial, communicator: world)
  }

  /// The checkpoint of an import.
  private func checkpoint(_ imported: WeightImport, _ world: Communicator) throws -> String {
    let directory = try world.broadcast(world.isCoordinator ? temporaryDirectory("import") : "")
    try imported.write(to: directory + "/a.h5", program: "test", communicator: world)
    return directory + "/a.h5"
  }

  /// A file with the tensors of another one, some of them changed.
  private func changed(
    _ path: String, _ change: (inout [(name: String, value: Tensor)]) -> Void
  ) throws -> String {
    let file = try SafetensorsFile(path)
    var tensors = try file.names.map { (name: $0, value: try file.tensor($0)) }
    change(&tensors)
    let out = temporaryDirectory("import") + "/changed.safetensors"
    try SafetensorsWriter.write(tensors, metadata: [], to: out)
    return out
  }

  func testAViTMAEOfHuggingFaceComputesTheSame() throws {
    let world = try sharedCommunicator()
    let imported = try read(Golden.path("vitmae.safetensors"), world)
    XCTAssertEqual(imported.names, .huggingFace)
    XCTAssertTrue(imported.report.isFull)
    XCTAssertTrue(imported.hasDecoder)
    XCTAssertEqual(imported.configuration.positions, .sinCos)
    let path = try checkpoint(imported, world)
    let encoder = try Encoder(path, communicator: world)
    expectClose(encoder.tokens(images).array, golden.floats("hf/tokens"), relative: 0, absolute: 1e-5, "tokens")

    let builder = ModelBuilder(seed: 0)
    let vit = ViT(imported.configuration, builder)
    let decoder = MAEDecoder(DecoderConfiguration(width: 8, depth: 1, heads: 2), of: imported.configuration, builder)
    let arena = builder.build()
    let tensors = arena.parameters.map {
      NamedTensor(name: "student/\($0.name)", shape: $0.shape.dims, payload: .float32($0.value.pointer))
    }
    let report = try CheckpointReader.load(into: tensors, from: path, communicator: world)
    XCTAssertEqual(report.matched.count, arena.parameters.count)
    let mask = Mask(shuffle: golden.ints("hf/shuffle").map(Int32.init), tokens: 16, keep: 4)
    let predicted = withoutGradient { decoder(vit(images, keep: mask), mask).value }
    expectClose(predicted.array, golden.floats("hf/prediction"), relative: 0, absolute: 1e-5, "prediction")
  }

  func testAModelOfMAEsRepositoryKeepsItsOwnPositions() throws {
    let world = try sharedCommunicator()
    let imported = try read(Golden.path("mae_reference.safetensors"), world)
    XCTAssertEqual(imported.names, .mae)
    XCTAssertTrue(imported.report.isFull && imported.hasDecoder)
    XCTAssertEqual(imported.configuration.positions, .stored)
    XCTAssertTrue(imported.report.notes.contains { $0.contains("model.pos_embed=stored") })
    XCTAssertTrue(imported.report.notes.contains { $0.contains("added to the class token") })
    XCTAssertTrue(imported.advice("a.h5").contains("--init-from a.h5 model.pos_embed=stored"))
    let encoder = try Encoder(checkpoint(imported, world), communicator: world)
    expectClose(encoder.tokens(images).array, golden.floats("mae/tokens"), relative: 0, absolute: 1e-5, "tokens")
    // Written and read again: the class token has its position in it already.
    let out = try world.broadcast(world.isCoordinator ? temporaryDirectory("import") + "/b.safetensors" : "")
    try WeightExport(encoder, names: .mae, communicator: world).write(to: out, communicator: world)
    XCTAssertEqual(try SafetensorsFile(out).tensor("pos_embed").array.prefix(16), [Float](repeating: 0, count: 16)[...])
    let again = try Encoder(checkpoint(try read(out, world), world), communicator: world)
    XCTAssertEqual(again.tokens(images).array, encoder.tokens(images).array)
  }

  func testPositionsAreResampledForAModelOfAnotherSide() throws {
    let world = try sharedCommunicator()
    let path = Golden.path("mae_reference.safetensors")
    let encoder = try Encoder(checkpoint(read(path, world), world), communicator: world)
    let imported = try read(path, world, sizes + ["model.img_size=24"])
    XCTAssertTrue(imported.report.isFull)
    XCTAssertTrue(imported.report.notes.contains { $0.contains("grid of 4 resampled to 6") })
    let larger = try Encoder(checkpoint(imported, world), communicator: world)
    let images = Tensor(ExactRandom.floats(3 * 24 * 24, seed: 4), [1, 3, 24, 24])
    XCTAssertEqual(larger.configuration.imgSize, 24)
    XCTAssertEqual(larger.tokens(images).array, try encoder.resized(to: 24).tokens(images).array)
  }

  func testADifferentModelIsRefusedWithATable() throws {
    let world = try sharedCommunicator()
    let path = Golden.path("mae_reference.safetensors")
    let deeper = thrown { _ = try self.read(path, world, self.sizes + ["model.depth=3"]) }
    XCTAssertEqual(deeper?.code, .badData)
    for words in ["12 missing, 0 unexpected, 0 reshaped", "missing     blocks.2.attn.qkv.weight", "--allow-partial"] {
      XCTAssertTrue(deeper?.description.contains(words) == true, "\(words) in \(deeper?.description ?? "")")
    }
    let smaller = thrown { _ = try self.read(path, world, self.sizes + ["model.depth=1", "model.patch=2"]) }
    for words in [
      "12 unexpected, 3 reshaped", "unexpected  blocks.1.mlp.fc2.bias",
      "reshaped    patch_embed.proj.weight: [16, 3, 4, 4] in the file, [16, 3, 2, 2] in the model",
    ] {
      XCTAssertTrue(smaller?.description.contains(words) == true, "\(words) in \(smaller?.description ?? "")")
    }
    let partial = try read(path, world, sizes + ["model.depth=3"], allowPartial: true)
    XCTAssertFalse(partial.report.isFull)
    XCTAssertTrue(partial.hasDecoder)
    let encoder = try Encoder(checkpoint(partial, world), communicator: world)
    XCTAssertEqual(encoder.arena["blocks.2.norm1.weight"]?.value.array, [Float](repeating: 1, count: 16))
    XCTAssertEqual(
      encoder.arena["blocks.1.norm1.weight"]?.value.array,
      try SafetensorsFile(path).tensor("blocks.1.norm1.weight").array)
  }

  func testADecoderThatIsNotWholeIsLeftOut() throws {
    let world = try sharedCommunicator()
    for damage in ["decoder_pred.bias", "decoder_pos_embed"] {
      let path = try changed(Golden.path("mae_reference.safetensors")) { tensors in
        guard let place = tensors.firstIndex(where: { $0.name == damage }) else { return }
        if damage == "decoder_pos_embed" {
          let table = tensors[place].value.copy()
          table.pointer[20] += 0.01
          tensors[place].value = table
        } else {
          tensors.remove(at: place)
        }
      }
      XCTAssertEqual(thrown { _ = try self.read(path, world) }?.code, .badData)
      let partial = try read(path, world, allowPartial: true)
      XCTAssertFalse(partial.hasDecoder)
      XCTAssertTrue(partial.report.notes.contains { $0.contains("left out") })
      let names = try CheckpointReader.list(checkpoint(partial, world)).map(\.name)
      XCTAssertTrue(names.contains("student/blocks.1.attn.qkv.weight"))
      XCTAssertFalse(names.contains { $0.hasPrefix("student/decoder.") })
    }
  }

  func testPrefixesAreSeenThroughAndSeveralEncodersAreNot() throws {
    let world = try sharedCommunicator()
    let plain = Golden.path("vitmae.safetensors")
    for change in [
      { "module.model.\($0)" }, { $0.hasPrefix("vit.") ? String($0.dropFirst(4)) : $0 },
    ] as [(String) -> String] {
      let path = try changed(plain) { tensors in tensors = tensors.map { (change($0.name), $0.value) } }
      let imported = try read(path, world)
      XCTAssertTrue(imported.report.isFull, imported.report.table.joined(separator: "\n"))
      XCTAssertEqual(imported.report.matched.count, try read(plain, world).report.matched.count)
    }
    let twice = try changed(Golden.path("mae_reference.safetensors")) { tensors in
      tensors = ["student.", "teacher."].flatMap { prefix in tensors.map { (prefix + $0.name, $0.value) } }
    }
    let failure = thrown { _ = try self.read(twice, world) }
    XCTAssertEqual(failure?.code, .badData)
    XCTAssertTrue(failure?.what.contains("student.cls_token, teacher.cls_token") == true, failure?.what ?? "")
    let none = try changed(plain) { $0.removeAll { $0.name.hasSuffix("cls_token") } }
    XCTAssertTrue(thrown { _ = try self.read(none, world) }?.what.contains("no Vision Transformer") == true)
  }

  func testTheModelMustBeNamedAndWordsMustMeanSomething() throws {
    let world = try sharedCommunicator()
    let path = Golden.path("vitmae.safetensors")
    XCTAssertEqual(thrown { _ = try self.read(path, world, [], model: nil) }?.code, .usage)
    XCTAssertEqual(thrown { _ = try self.read(path, world, ["train.epochs=3"]) }?.code, .usage)
    XCTAssertEqual(thrown { _ = try self.read(path, world, ["model.pos_embed=stored"]) }?.code, .usage)
    XCTAssertEqual(thrown { _ = try self.read(path, world, ["model.wdth=16"]) }?.code, .badConfig)
    XCTAssertEqual(thrown { _ = try self.read(path, world, [], model: "vit_tinny_patch16_224") }?.code, .badConfig)
    XCTAssertEqual(thrown { _ = try self.read(path, world, ["model.decoder.heads=2"]) }?.code, .badData)
    let named = ["model.arch=vit_tiny_patch16_224"] + sizes
    XCTAssertTrue(try read(path, world, named, model: nil).report.isFull)
  }
}
