import Foundation

/// The masked autoencoder's loss written down once more, plainly: loops over doubles, one token after the other.
///
/// It shares no code with the program; the tests hold the program against it.
/// - Source: He et al., 2022; spec mae-ct sections 1 and 2.
struct PlainMAE {
  typealias Row = [Double]
  let parameters: [String: Row]
  let side: Int
  let patch: Int
  let keep: Int
  let heads: Int
  let decoderHeads: Int
  var normalizesTargets = true

  private var grid: Int { side / patch }

  /// The loss over images [n][3 * side * side] with one order of the patches each.
  func loss(_ images: [Row], orders: [[Int]]) -> Double {
    var sum = 0.0
    var removed = 0
    for (image, order) in zip(images, orders) {
      let predicted = predict(image, order)
      for token in order[keep...] {
        let target = target(image, token)
        let errors = zip(predicted[token], target).map { ($0 - $1) * ($0 - $1) }
        sum += errors.reduce(0, +) / Double(errors.count)
        removed += 1
      }
    }
    return sum / Double(removed)
  }

  /// The encoder's output for the given patches in this order: class token, then patches.
  func encode(_ image: Row, _ visible: [Int]) -> [Row] {
    var tokens = [of("cls_token")]
    for token in visible {
      var values: Row = []
      for channel in 0..<3 {
        for y in 0..<patch {
          for x in 0..<patch { values.append(pixel(image, channel, token, y, x)) }
        }
      }
      let width = of("cls_token").count
      let embedded = affine(values, "patch_embed.proj")
      tokens.append(zip(embedded, position(token, width)).map(+))
    }
    return transformer(tokens, "", heads)
  }

  /// The decoder's prediction for every patch, in the order of the grid.
  func predict(_ image: Row, _ order: [Int]) -> [Row] {
    let latent = encode(image, Array(order[..<keep])).map { affine($0, "decoder.embed") }
    var tokens = [latent[0]]
    for token in order.indices {
      let place = order.firstIndex(of: token) ?? 0
      let value = place < keep ? latent[1 + place] : of("decoder.mask_token")
      tokens.append(zip(value, position(token, value.count)).map(+))
    }
    return transformer(tokens, "decoder.", decoderHeads).dropFirst().map { affine($0, "decoder.pred") }
  }

  private func target(_ image: Row, _ token: Int) -> Row {
    var values: Row = []
    for y in 0..<patch {
      for x in 0..<patch {
        for channel in 0..<3 { values.append(pixel(image, channel, token, y, x)) }
      }
    }
    guard normalizesTargets else { return values }
    let mean = values.reduce(0, +) / Double(values.count)
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count - 1)
    return values.map { ($0 - mean) / (variance + 1e-6).squareRoot() }
  }

  private func pixel(_ image: Row, _ channel: Int, _ token: Int, _ y: Int, _ x: Int) -> Double {
    image[(channel * side + token / grid * patch + y) * side + token % grid * patch + x]
  }

  private func position(_ token: Int, _ width: Int) -> Row {
    let quarter = width / 4
    let frequencies = (0..<quarter).map { 1 / pow(10000, Double($0) / Double(quarter)) }
    let (x, y) = (Double(token % grid), Double(token / grid))
    return frequencies.map { sin(x * $0) } + frequencies.map { cos(x * $0) } + frequencies.map { sin(y * $0) }
      + frequencies.map { cos(y * $0) }
  }

  private func transformer(_ input: [Row], _ prefix: String, _ heads: Int) -> [Row] {
    var tokens = input
    var index = 0
    while parameters["\(prefix)blocks.\(index).norm1.weight"] != nil {
      let name = "\(prefix)blocks.\(index)."
      let attended = attention(tokens.map { normalized($0, name + "norm1") }, name + "attn", heads)
      tokens = zip(tokens, attended).map { zip($0, $1).map(+) }
      tokens = tokens.map { token in
        let hidden = affine(normalized(token, name + "norm2"), name + "mlp.fc1")
        let active = hidden.map { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) }
        return zip(token, affine(active, name + "mlp.fc2")).map(+)
      }
      index += 1
    }
    return tokens.map { normalized($0, prefix + "norm") }
  }

  private func attention(_ tokens: [Row], _ name: String, _ heads: Int) -> [Row] {
    let width = tokens[0].count
    let size = width / heads
    let qkv = tokens.map { affine($0, name + ".qkv") }
    return tokens.indices.map { query in
      var mixed = Row(repeating: 0, count: width)
      for head in 0..<heads {
        let scores = tokens.indices.map { key in
          (0..<size).reduce(0) { $0 + qkv[query][head * size + $1] * qkv[key][width + head * size + $1] }
            / Double(size).squareRoot()
        }
        let top = scores.max() ?? 0
        let weights = scores.map { exp($0 - top) }
        let total = weights.reduce(0, +)
        for key in tokens.indices {
          for i in 0..<size { mixed[head * size + i] += weights[key] / total * qkv[key][2 * width + head * size + i] }
        }
      }
      return affine(mixed, name + ".proj")
    }
  }

  private func normalized(_ token: Row, _ name: String) -> Row {
    let mean = token.reduce(0, +) / Double(token.count)
    let variance = token.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(token.count)
    let (weight, bias) = (of(name + ".weight"), of(name + ".bias"))
    return token.indices.map { (token[$0] - mean) / (variance + 1e-6).squareRoot() * weight[$0] + bias[$0] }
  }

  private func affine(_ input: Row, _ name: String) -> Row {
    let (weight, bias) = (of(name + ".weight"), of(name + ".bias"))
    return bias.indices.map { row in
      input.indices.reduce(bias[row]) { $0 + weight[row * input.count + $1] * input[$1] }
    }
  }

  private func of(_ name: String) -> Row { parameters[name] ?? [] }
}
