import Layers
import TestKit
import XCTest

final class SizesTests: XCTestCase {
  private func encoderCount(_ name: String) throws -> Int {
    let builder = ModelBuilder(seed: 0)
    _ = ViT(try XCTUnwrap(ViTConfiguration.named(name)), builder)
    return builder.parameterCount
  }

  private func decoderCount(_ name: String) throws -> Int {
    let builder = ModelBuilder(seed: 0)
    _ = MAEDecoder(DecoderConfiguration(), of: try XCTUnwrap(ViTConfiguration.named(name)), builder)
    return builder.parameterCount
  }

  func testEncoderParameterCounts() throws {
    XCTAssertEqual(try encoderCount("vit_tiny_patch16_224"), 5_486_592)
    XCTAssertEqual(try encoderCount("vit_small_patch16_224"), 21_590_016)
    XCTAssertEqual(try encoderCount("vit_base_patch16_224"), 85_647_360)
    XCTAssertEqual(try encoderCount("vit_large_patch16_224"), 303_099_904)
    XCTAssertEqual(try encoderCount("vit_huge_patch16_224"), 630_666_240)
    XCTAssertEqual(try encoderCount("vit_huge_patch14_224"), 630_435_840)
  }

  func testDecoderParameterCounts() throws {
    XCTAssertEqual(try decoderCount("vit_tiny_patch16_224"), 25_713_408)
    XCTAssertEqual(try decoderCount("vit_small_patch16_224"), 25_811_712)
    XCTAssertEqual(try decoderCount("vit_base_patch16_224"), 26_008_320)
    XCTAssertEqual(try decoderCount("vit_large_patch16_224"), 26_139_392)
    XCTAssertEqual(try decoderCount("vit_huge_patch16_224"), 26_270_464)
  }

  func testParameterNamesAreThoseOfTimm() {
    let builder = ModelBuilder(seed: 0)
    let configuration = ViTConfiguration(width: 16, depth: 1, heads: 2, patch: 4, imgSize: 8)
    _ = ViT(configuration, builder)
    _ = MAEDecoder(DecoderConfiguration(width: 8, depth: 1, heads: 2), of: configuration, builder)
    let block = [
      "norm1.weight", "norm1.bias", "attn.qkv.weight", "attn.qkv.bias", "attn.proj.weight", "attn.proj.bias",
      "norm2.weight", "norm2.bias", "mlp.fc1.weight", "mlp.fc1.bias", "mlp.fc2.weight", "mlp.fc2.bias",
    ]
    let expected =
      ["cls_token", "patch_embed.proj.weight", "patch_embed.proj.bias"] + block.map { "blocks.0.\($0)" }
      + ["norm.weight", "norm.bias", "decoder.embed.weight", "decoder.embed.bias", "decoder.mask_token"]
      + block.map { "decoder.blocks.0.\($0)" }
      + ["decoder.norm.weight", "decoder.norm.bias", "decoder.pred.weight", "decoder.pred.bias"]
    let arena = builder.build()
    XCTAssertEqual(arena.parameters.map(\.name), expected)
    XCTAssertEqual(arena["patch_embed.proj.weight"]?.shape.dims, [16, 3, 4, 4])
    XCTAssertEqual(arena["cls_token"]?.shape.dims, [1, 1, 16])
  }

  func testNames() throws {
    for name in ViTConfiguration.names { XCTAssertNotNil(ViTConfiguration.named(name), name) }
    let free = try XCTUnwrap(ViTConfiguration.named("vit_tiny_patch8_64"))
    XCTAssertEqual([free.width, free.depth, free.heads, free.tokens, free.patchDim], [192, 12, 3, 64, 192])
    for wrong in ["vit_tiny_patch16", "vit_giant_patch16_224", "vit_tiny_patch15_224", "deit_tiny_patch16_224", ""] {
      XCTAssertNil(ViTConfiguration.named(wrong), wrong)
    }
  }

  func testObstacles() {
    let good = ViTConfiguration(width: 16, depth: 2, heads: 2, patch: 4, imgSize: 16)
    XCTAssertNil(good.obstacle)
    let faults: [(inout ViTConfiguration) -> Void] = [
      { $0.heads = 3 }, { $0.width = 18 }, { $0.patch = 5 }, { $0.depth = 0 },
    ]
    for fault in faults {
      var bad = good
      fault(&bad)
      XCTAssertNotNil(bad.obstacle)
    }
    XCTAssertNotNil(DecoderConfiguration(width: 10, depth: 1, heads: 5).obstacle)
    XCTAssertNotNil(DecoderConfiguration(width: 8, depth: 1, heads: 3).obstacle)
  }

  func testForwardCostAgreesWithTheTable() throws {
    let expected = [("tiny", 1.25), ("small", 4.60), ("base", 17.56), ("large", 61.55), ("huge", 127.31)]
    for (size, gigaMACs) in expected {
      let cost = try XCTUnwrap(ViTConfiguration.named("vit_\(size)_patch16_224")).cost()
      XCTAssertEqual(cost.forwardFlops / 2e9, gigaMACs, accuracy: 0.01, size)
    }
  }

  func testCostIsThatOfAHandCountForWidth64AndDepth4() {
    // 32 x 32 pixels in patches of 4: 64 patches of 48 numbers, and a class token.
    let vit = ViTConfiguration(width: 64, depth: 4, heads: 4, patch: 4, imgSize: 32)
    let block =
      65 * 64 * 192  // query, key, value: 798,720
      + 65 * 64 * 64  // projection: 266,240
      + 2 * 65 * 64 * 256  // MLP: 2,129,920
      + 2 * 65 * 65 * 64  // scores and values: 540,800
    XCTAssertEqual(block, 3_735_680)
    XCTAssertEqual(vit.cost().layers, 14_942_720)
    XCTAssertEqual(vit.cost().embedding, 196_608)
    XCTAssertEqual(vit.cost().forwardFlops, 30_278_656)
    XCTAssertEqual(vit.cost().trainingFlops, 90_442_752)
    // A quarter of the patches and the class token, 17 tokens, pass the blocks.
    XCTAssertEqual(vit.cost(visible: 16).layers, 4 * Double(17 * 64 * (192 + 64 + 512) + 2 * 17 * 17 * 64))
    // Decoder of width 32 and depth 2: from 17 tokens of 64, over 65 tokens of 32, to 64 patches of 48.
    let decoder = DecoderConfiguration(width: 32, depth: 2, heads: 2).cost(of: vit, visible: 16)
    let ends = 17 * 64 * 32 + 64 * 32 * 48
    XCTAssertEqual(decoder.layers, Double(ends + 2 * (65 * 32 * (96 + 32 + 256) + 2 * 65 * 65 * 32)))
    XCTAssertEqual(decoder.embedding, 0)
  }

  func testTrainingCostAgreesWithTheMeasuredAnchors() throws {
    func masked(_ name: String) throws -> Double {
      let vit = try XCTUnwrap(ViTConfiguration.named(name))
      let visible = Mask.kept(of: vit.tokens, ratio: 0.75)
      return (vit.cost(visible: visible) + DecoderConfiguration().cost(of: vit, visible: visible)).trainingFlops
    }
    func full(_ name: String) throws -> Double { try XCTUnwrap(ViTConfiguration.named(name)).cost().trainingFlops }
    XCTAssertEqual(try masked("vit_small_patch16_224") / 1e9, 38.9, accuracy: 0.05)
    XCTAssertEqual(try masked("vit_base_patch16_224") / 1e9, 58.5, accuracy: 0.05)
    XCTAssertEqual(try full("vit_small_patch16_224") / 1e9, 27.5, accuracy: 0.05)
    XCTAssertEqual(try full("vit_base_patch16_224") / 1e9, 105, accuracy: 0.5)
    XCTAssertEqual(try full("vit_tiny_patch4_32") / 1e9, 2.19, accuracy: 0.005)
  }
}
