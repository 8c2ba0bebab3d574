import Autodiff
import Foundation
import Tensors
import XCTest

@testable import Layers

final class AttentionRowsTests: XCTestCase {
  private let configuration = ViTConfiguration(width: 16, depth: 2, heads: 2, patch: 4, imgSize: 12)

  private func model(classTokens: Int) -> (vit: ViT, arena: ParameterArena, images: Tensor) {
    let builder = ModelBuilder(seed: 3)
    let vit = ViT(configuration, builder, classTokens: classTokens)
    let arena = builder.build()
    // Scores large enough that the softmax is far from uniform.
    arena["blocks.1.attn.qkv.weight"]?.value.assign(
      Tensor((0..<48 * 16).map { Float(sin(Double($0 * $0))) }, [48, 16]))
    return (vit, arena, Tensor((0..<2 * 3 * 144).map { Float(cos(Double($0) * 0.37)) }, [2, 3, 12, 12]))
  }

  /// Softmax rows of the class tokens by the book, in double, from the tokens before the last block.
  private func naiveRows(_ model: (vit: ViT, arena: ParameterArena, images: Tensor), _ classTokens: Int) -> [Double] {
    let x = withoutGradient { model.vit.encoded(model.images, keep: nil, taps: [1]).taps[0].value }
    let (n, d, heads) = (x.shape[1], 16, 2)
    func values(_ name: String) -> [Double] { model.arena[name]?.value.array.map(Double.init) ?? [] }
    let (gamma, beta) = (values("blocks.1.norm1.weight"), values("blocks.1.norm1.bias"))
    let (weight, bias) = (values("blocks.1.attn.qkv.weight"), values("blocks.1.attn.qkv.bias"))
    var result: [Double] = []
    for image in 0..<2 {
      let qkv = (0..<n).map { token -> [Double] in
        let row = (0..<d).map { Double(x.pointer[(image * n + token) * d + $0]) }
        let mean = row.reduce(0, +) / Double(d)
        let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(d)
        let normal = row.enumerated().map { ($1 - mean) / (variance + 1e-6).squareRoot() * gamma[$0] + beta[$0] }
        return (0..<3 * d).map { out in (0..<d).reduce(bias[out]) { $0 + weight[out * d + $1] * normal[$1] } }
      }
      for query in 0..<classTokens {
        for head in 0..<heads {
          let width = d / heads
          let scores = (0..<n).map { token in
            (0..<width).reduce(0.0) { $0 + qkv[query][head * width + $1] * qkv[token][d + head * width + $1] }
              / Double(width).squareRoot()
          }
          let powers = scores.map { exp($0 - (scores.max() ?? 0)) }
          result += powers.map { $0 / powers.reduce(0, +) }
        }
      }
    }
    return result
  }

  func testRowsEqualTheNaiveComputationWithOneAndTwoClassTokens() throws {
    for classTokens in [1, 2] {
      let model = model(classTokens: classTokens)
      let rows = model.vit.classAttention(model.images)
      let tokens = classTokens + 9
      XCTAssertEqual(rows.shape, [2, classTokens, 2, tokens], "N patches, whatever the number of class tokens")
      let expected = naiveRows(model, classTokens)
      for (a, b) in zip(rows.array, expected) { XCTAssertEqual(Double(a), b, accuracy: 1e-5) }
      XCTAssertGreaterThan(expected.max() ?? 0, 0.3, "the rows are not uniform, so the comparison can fail")
    }
  }

  func testAttentionToPatchesAndToClassTokensSumsToOne() {
    let rows = model(classTokens: 2)
    let values = rows.vit.classAttention(rows.images)
    for row in 0..<values.shape.leading {
      let sum = (0..<11).reduce(0.0) { $0 + Double(values.pointer[row * 11 + $1]) }
      XCTAssertEqual(sum, 1, accuracy: 1e-5)
    }
  }

  func testTheFinalNormOfTheLastTapIsTheOutput() {
    let model = model(classTokens: 1)
    withoutGradient {
      let ends = model.vit.encoded(model.images, keep: nil, taps: [2])
      XCTAssertEqual(model.vit.normalized(ends.taps[0]).value.array, ends.last.value.array)
    }
  }
}
