import Foundation
import TestKit

/// Head initialisation and contrastive tuning written down once more, plainly, over the whole global batch on one rank.
///
/// It shares no code with the program: doubles, one image after the other, a queue that is sorted whole. The tests hold
/// the program against it on 1, 2, 3 and 4 ranks.
/// - Source: Lehner et al., 2023, algorithm 1; spec mae-ct sections 1, 3 and 4.
struct PlainContrast {
  typealias Row = [Double]

  /// A trained tensor and the rule of its updates.
  struct Weight {
    var values: Row
    let rows: Int
    let columns: Int
    var m: Row
    var v: Row
    /// Times the learning rate; nil: frozen.
    let rateScale: Double?
    let decay: Double
  }

  struct Sizes {
    var side = 16
    var patch = 4
    var heads = 2
    var k = 3
    var temperature = 0.15
    var targetMomentum: Double? = 0.9
    var encoderMomentum: Double? = 0.99
    var betas = (0.9, 0.95)
    var eps = 1e-8
    var findsNeighbours = true
    var poolsClassToken = false
  }

  /// What one step gave.
  struct Outcome {
    let loss: Double
    let gradients: [String: Row]
    /// The chosen slots, [view][image]; empty without a queue.
    let slots: [[Int]]
  }

  let sizes: Sizes
  /// By name, as in the program.
  var weights: [String: Weight]
  /// g_t: the projector's averaged weights.
  var target: [String: Row] = [:]
  /// f_m: the encoder's averaged weights.
  var average: [String: Row] = [:]
  /// Running mean and variance by name, as in the program: `projector.bn1.running_mean`.
  var running: [String: Row] = [:]
  var queue: [Row]
  var ids: [Int]
  var pointer = 0
  private var updates = 0

  init(_ sizes: Sizes, weights: [String: Weight], queue: [Row], ids: [Int]) {
    self.sizes = sizes
    self.weights = weights
    self.queue = queue
    self.ids = ids
    for (name, weight) in weights {
      if name.hasPrefix("projector.") { target[name] = weight.values }
      if !name.hasPrefix("projector."), !name.hasPrefix("predictor.") { average[name] = weight.values }
    }
    for (name, weight) in weights where name.contains(".bn") && name.hasSuffix(".weight") {
      running[name.replacing("weight", with: "running_mean")] = weight.values.map { _ in 0 }
      running[name.replacing("weight", with: "running_var")] = weight.values.map { _ in 1 }
    }
  }

  /// One step: loss and gradients, queue, update, averages.
  ///
  /// - Parameters:
  ///   - views: two times [B][3 side side].
  ///   - picks: which of the k candidates is taken, [view][image].
  mutating func step(_ views: [[Row]], images: [Int], picks: [[Int]], rate: Double) -> Outcome {
    let online = weights.mapValues { Plain($0.values, $0.rows, $0.columns) }
    let hidden = views.map { view in Plain.stacked(view.map { pooled($0, online) }) }  // [B, D]
    let projected = hidden.map { project($0, online, tracks: true) }
    let predicted = projected.map { unit(predict($0, online)) }
    let keys = zip(hidden, projected).map { hidden, projected in
      guard sizes.targetMomentum != nil else { return unit(projected).detached }
      let slow = online.merging(target.map { ($0, Plain($1, of($0, online).rows, of($0, online).columns)) }) { $1 }
      return unit(project(hidden, slow, tracks: false)).detached
    }
    var slots: [[Int]] = []
    let neighbours = keys.enumerated().map { view, keys in
      guard sizes.findsNeighbours else { return keys }
      let chosen = images.indices.map { neighbour(of: row(keys, $0), image: images[$0], rank: picks[view][$0]) }
      slots.append(chosen)
      return Plain(chosen.flatMap { queue[$0] }, chosen.count, keys.columns)
    }
    let loss = 0.5 * (contrast(neighbours[0], predicted[1]) + contrast(neighbours[1], predicted[0]))
    loss.backward()
    for (place, image) in images.enumerated() where sizes.findsNeighbours {
      queue[pointer] = row(keys[0], place)
      ids[pointer] = image
      pointer = (pointer + 1) % queue.count
    }
    let gradients = online.filter { weights[$0.key]?.rateScale != nil }.mapValues(\.gradient)
    update(gradients, rate: rate)
    return Outcome(loss: loss.item, gradients: gradients, slots: slots)
  }

  /// -S_ii + logsumexp_j S_ij, averaged over rows, with S = N P^T / tau.
  private func contrast(_ neighbours: Plain, _ predicted: Plain) -> Plain {
    let s = (1 / sizes.temperature) * neighbours.times(predicted.transposed)  // [B, B]
    let diagonal = Plain((0..<s.rows * s.rows).map { $0 % (s.rows + 1) == 0 ? 1 : 0 }, s.rows, s.rows)
    return (s.exp.rowSums.log - (s * diagonal).rowSums).mean
  }

  /// The slot of the rank-th best entry, ties to the lower slot; the image's own entries count as -1.
  private func neighbour(of key: Row, image: Int, rank: Int) -> Int {
    let similarities = queue.indices.map { slot in
      ids[slot] == image ? -1 : zip(queue[slot], key).reduce(0) { $0 + $1.0 * $1.1 }
    }
    return queue.indices.sorted { (-similarities[$0], $0) < (-similarities[$1], $1) }[rank]
  }

  private func row(_ matrix: Plain, _ index: Int) -> Row {
    Array(matrix.values[index * matrix.columns..<(index + 1) * matrix.columns])
  }

  private mutating func update(_ gradients: [String: Row], rate: Double) {
    updates += 1
    for (name, gradient) in gradients {
      guard var weight = weights[name], let scale = weight.rateScale else { continue }
      let lr = rate * scale
      for i in gradient.indices {
        weight.values[i] -= lr * weight.decay * weight.values[i]
        weight.m[i] = sizes.betas.0 * weight.m[i] + (1 - sizes.betas.0) * gradient[i]
        weight.v[i] = sizes.betas.1 * weight.v[i] + (1 - sizes.betas.1) * gradient[i] * gradient[i]
        let m = weight.m[i] / (1 - pow(sizes.betas.0, Double(updates)))
        let v = weight.v[i] / (1 - pow(sizes.betas.1, Double(updates)))
        weight.values[i] -= lr * m / (v.squareRoot() + sizes.eps)
      }
      weights[name] = weight
    }
    func follow(_ copy: inout [String: Row], _ momentum: Double?) {
      guard let momentum else { return }
      for (name, values) in copy {
        guard let new = weights[name], new.rateScale != nil else { continue }
        copy[name] = zip(values, new.values).map { momentum * $0 + (1 - momentum) * $1 }
      }
    }
    follow(&target, sizes.targetMomentum)
    follow(&average, sizes.encoderMomentum)
  }
}

// MARK: - The networks

extension PlainContrast {
  /// An image's vector: the class token or the mean of the patches after the last norm. [1, D]
  func pooled(_ image: Row, _ w: [String: Plain]) -> Plain {
    let tokens = encode(image, w)
    return sizes.poolsClassToken ? tokens.rows([0]) : tokens.rows(Array(1..<tokens.rows)).columnMeans
  }

  /// All tokens after the last norm. [1 + L, D]
  private func encode(_ image: Row, _ w: [String: Plain]) -> Plain {
    let (side, patch) = (sizes.side, sizes.patch)
    let grid = side / patch
    var patches: Row = []
    for token in 0..<grid * grid {
      for channel in 0..<3 {
        for y in 0..<patch {
          for x in 0..<patch {
            patches.append(image[(channel * side + token / grid * patch + y) * side + token % grid * patch + x])
          }
        }
      }
    }
    let embedded = affine(Plain(patches, grid * grid, 3 * patch * patch), "patch_embed.proj", w)
    var x = Plain.stacked([of("cls_token", w), embedded + positions(grid, embedded.columns)])
    var index = 0
    while w["blocks.\(index).norm1.weight"] != nil {
      let name = "blocks.\(index)."
      x = x + attend(layerNorm(x, name + "norm1", w), name + "attn", w)
      x = x + affine(affine(layerNorm(x, name + "norm2", w), name + "mlp.fc1", w).gelu, name + "mlp.fc2", w)
      index += 1
    }
    return layerNorm(x, "norm", w)
  }

  private func positions(_ grid: Int, _ width: Int) -> Plain {
    let quarter = width / 4
    let frequencies = (0..<quarter).map { 1 / pow(10000, Double($0) / Double(quarter)) }
    let table = (0..<grid * grid).flatMap { token -> Row in
      let (x, y) = (Double(token % grid), Double(token / grid))
      return frequencies.map { sin(x * $0) } + frequencies.map { cos(x * $0) } + frequencies.map { sin(y * $0) }
        + frequencies.map { cos(y * $0) }
    }
    return Plain(table, grid * grid, width)
  }

  private func attend(_ x: Plain, _ name: String, _ w: [String: Plain]) -> Plain {
    let qkv = affine(x, name + ".qkv", w)
    let (width, size) = (x.columns, x.columns / sizes.heads)
    let mixed = (0..<sizes.heads).map { head -> Plain in
      let parts = (0..<3).map { which in
        qkv.columns(which * width + head * size..<which * width + (head + 1) * size)
      }
      let scores = (1 / Double(size).squareRoot()) * parts[0].times(parts[1].transposed)
      let e = scores.exp
      return (e / e.rowSums).times(parts[2])
    }
    return affine(Plain.stacked(mixed.map(\.transposed)).transposed, name + ".proj", w)
  }

  private func layerNorm(_ x: Plain, _ name: String, _ w: [String: Plain]) -> Plain {
    let centred = x - x.rowMeans
    let deviation = ((centred * centred).rowMeans + Plain([1e-6], 1, 1)).squareRoot
    return centred / deviation * of(name + ".weight", w) + of(name + ".bias", w)
  }

  private func affine(_ x: Plain, _ name: String, _ w: [String: Plain]) -> Plain {
    x.times(of(name + ".weight", w).transposed) + of(name + ".bias", w)
  }

  /// Lin BN ReLU, Lin BN ReLU, Lin BN; no linear has a bias.
  private mutating func project(_ h: Plain, _ w: [String: Plain], tracks: Bool) -> Plain {
    var x = h
    for layer in 1...3 {
      let z = x.times(of("projector.fc\(layer).weight", w).transposed)
      x = batchNorm(z, "projector.bn\(layer)", w, tracks: tracks)
      if layer < 3 { x = x.rectified }
    }
    return x
  }

  /// Lin BN ReLU, Lin.
  private mutating func predict(_ z: Plain, _ w: [String: Plain]) -> Plain {
    let hidden = z.times(of("predictor.fc1.weight", w).transposed)
    return batchNorm(hidden, "predictor.bn1", w, tracks: true).rectified
      .times(of("predictor.fc2.weight", w).transposed)
  }

  private mutating func batchNorm(_ x: Plain, _ name: String, _ w: [String: Plain], tracks: Bool) -> Plain {
    let mean = x.columnMeans
    let centred = x - mean
    let variance = (centred * centred).columnMeans
    if tracks, let oldMean = running[name + ".running_mean"], let oldVariance = running[name + ".running_var"] {
      let unbiased = Double(x.rows) / Double(x.rows - 1)
      running[name + ".running_mean"] = zip(oldMean, mean.values).map { 0.9 * $0 + 0.1 * $1 }
      running[name + ".running_var"] = zip(oldVariance, variance.values).map { 0.9 * $0 + 0.1 * unbiased * $1 }
    }
    return centred / (variance + Plain([1e-5], 1, 1)).squareRoot * of(name + ".weight", w) + of(name + ".bias", w)
  }

  private func of(_ name: String, _ w: [String: Plain]) -> Plain {
    guard let weight = w[name] else { preconditionFailure("PlainContrast: no \(name)") }
    return weight
  }

  private func unit(_ x: Plain) -> Plain { x / (x * x).rowSums.squareRoot }
}
