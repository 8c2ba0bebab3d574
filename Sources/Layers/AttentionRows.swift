import Autodiff
import Tensors

// Shapes: B images, C class tokens, N = C + L tokens, D width, H heads, d = D / H.

extension ViT {
  /// What the class tokens look at in the last block: softmax rows, a head each, over all tokens.
  ///
  /// - Shapes: images [B, 3, S, S] -> [B, C, H, N]; every row sums to 1.
  public func classAttention(_ images: Tensor) -> Tensor {
    withoutGradient {
      let input = encoded(images, keep: nil, taps: [configuration.depth - 1]).taps[0]  // [B, N, D]
      return stack.blocks[configuration.depth - 1].attentionRows(input, queries: 0..<classTokens)
    }
  }
}

extension Block {
  /// The attention rows of some queries, for tokens that come out of the block before.
  func attentionRows(_ tokens: Variable, queries: Range<Int>) -> Tensor {
    attention.rows(ResidualStream(tokens).normalized(by: norm1).normalized, queries: queries)
  }
}

extension Attention {
  /// The softmax rows of some queries. Only for looking at: the layer itself never keeps them.
  ///
  /// - Shapes: x [B, N, D] -> [B, queries, H, N]
  func rows(_ x: Variable, queries: Range<Int>) -> Tensor {
    let qkv = self.qkv(x).value  // [B, N, 3 D]
    let (images, tokens, width) = (qkv.shape[0], qkv.shape[1], qkv.shape[2] / 3)
    let headWidth = width / heads
    let rows = Tensor(uninitialized: [images, queries.count, heads, tokens])
    for image in 0..<images {
      let first = qkv.pointer + image * tokens * 3 * width
      for (place, query) in queries.enumerated() {
        for head in 0..<heads {
          let row = rows.pointer + ((image * queries.count + place) * heads + head) * tokens
          let q = first + query * 3 * width + head * headWidth
          for token in 0..<tokens {
            let k = first + token * 3 * width + width + head * headWidth
            var score: Float = 0
            for i in 0..<headWidth { score += q[i] * k[i] }
            row[token] = score
          }
        }
      }
    }
    Kernels.softmax(rows, scale: 1 / Float(headWidth).squareRoot())
    return rows
  }
}
