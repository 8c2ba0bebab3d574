import Layers
import XCTest

@testable import Weights

final class WeightNamesTests: XCTestCase {
  private let configuration = ViTConfiguration(width: 8, depth: 12, heads: 2, patch: 4, imgSize: 8)

  /// Our names of an encoder with 12 blocks, and of its decoder.
  private func ownNames(decoder: Bool) -> [String] {
    let builder = ModelBuilder(seed: 0)
    _ = ViT(configuration, builder)
    if decoder { _ = MAEDecoder(DecoderConfiguration(width: 8, depth: 2, heads: 2), of: configuration, builder) }
    return builder.build().parameters.map(\.name) + ["pos_embed"] + (decoder ? ["decoder.pos_embed"] : [])
  }

  func testEveryNameHasOneOfTheirsAndComesBack() {
    for names in WeightNames.allCases {
      var theirs: Set<String> = []
      for own in ownNames(decoder: names.hasDecoder) {
        guard let list = names.theirs(own) else {
          XCTFail("\(names.rawValue) has no name for \(own)")
          continue
        }
        XCTAssertEqual(list.count, names == .huggingFace && own.contains("attn.qkv") ? 3 : 1)
        for (part, name) in list.enumerated() {
          XCTAssertTrue(theirs.insert(name).inserted, "\(name) twice")
          let back = names.own(name)
          XCTAssertEqual(back?.name, own)
          XCTAssertEqual(back?.part, part)
          XCTAssertEqual(back?.parts, list.count)
        }
      }
    }
  }

  func testNamesAreThoseOfTheOtherPrograms() {
    let expected: [(WeightNames, String, [String])] = [
      (.timm, "cls_token_1", ["reg_token"]), (.timm, "blocks.11.attn.qkv.bias", ["blocks.11.attn.qkv.bias"]),
      (.mae, "decoder.blocks.7.mlp.fc2.weight", ["decoder_blocks.7.mlp.fc2.weight"]),
      (.mae, "decoder.mask_token", ["mask_token"]), (.mae, "decoder.pred.bias", ["decoder_pred.bias"]),
      (.huggingFace, "norm.weight", ["vit.layernorm.weight"]),
      (.huggingFace, "blocks.3.mlp.fc1.weight", ["vit.encoder.layer.3.intermediate.dense.weight"]),
      (
        .huggingFace, "decoder.blocks.0.attn.qkv.weight",
        ["query", "key", "value"].map { "decoder.decoder_layers.0.attention.attention.\($0).weight" }
      ),
    ]
    for (names, own, theirs) in expected { XCTAssertEqual(names.theirs(own), theirs) }
    XCTAssertNil(WeightNames.dino.theirs("cls_token_1"))
    XCTAssertNil(WeightNames.timm.theirs("decoder.mask_token"))
    XCTAssertEqual(
      WeightNames.huggingFace.own("vit.layers.2.attention.k_proj.bias")?.name, "blocks.2.attn.qkv.bias")
    XCTAssertEqual(WeightNames.huggingFace.own("vit.layers.2.attention.k_proj.bias")?.part, 1)
  }

  func testForeignNamesHaveNone() {
    for name in [
      "head.weight", "blocks.x.norm1.weight", "blocks..norm1.weight", "blocks.1.norm3.weight", "fc_norm.bias", "norm",
      "blocks.0.attn.qkv", "xblocks.0.norm1.weight", "cls_token.weight", "",
    ] {
      XCTAssertNil(WeightNames.timm.own(name), name)
    }
  }
}
