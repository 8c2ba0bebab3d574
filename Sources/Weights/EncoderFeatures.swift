import Autodiff
import Basics
import Features
import Layers
import Tensors

// Shapes: B images, C class tokens, L patches, N = C + L, D width, K joined blocks.

extension Encoder {
  /// The shape of the feature of one image.
  ///
  /// - Throws: usage when the encoder has no such token or block.
  public func itemShape(_ kind: FeatureKind) throws(Failure) -> [Int] {
    let (tokens, width) = (configuration.tokens, configuration.width)
    switch kind.content {
    case .classToken(let number):
      guard number < vit.classTokens else {
        throw missing(kind, "the encoder has \(vit.classTokens) class token")
      }
      return [width]
    case .patchMean: return [width]
    case .concat: return [2 * width]
    case .lastClassTokens(let count, let mean):
      guard count <= configuration.depth else {
        throw missing(kind, "the encoder has \(configuration.depth) blocks")
      }
      return [(count + (mean ? 1 : 0)) * width]
    case .patches(let blocks):
      guard blocks.allSatisfy({ (1...configuration.depth).contains($0) }) else {
        throw missing(kind, "the encoder has blocks 1 to \(configuration.depth)")
      }
      return [tokens, max(blocks.count, 1) * width]
    case .tokens: return [vit.classTokens + tokens, width]
    }
  }

  private func missing(_ kind: FeatureKind, _ reason: String) -> Failure {
    Failure(.usage, "the checkpoint has no feature '\(kind)': \(reason)", at: path, hint: "choose another --feature")
  }

  /// Features of images, all kinds from one forward pass.
  ///
  /// - Parameter kinds: such that `itemShape` finds them.
  /// - Shapes: images [B, 3, S, S] -> for each kind [B, itemShape...]
  /// - Source: spec/evaluation.md 1.1.
  public func features(_ images: Tensor, _ kinds: [FeatureKind]) -> [Tensor] {
    withoutGradient {
      let tokens = TappedTokens(vit, images, kinds)
      return kinds.map { tokens.feature($0) }
    }
  }

  /// What stood for an image in training where the run's settings say so, else what the papers of its method measure.
  ///
  /// - Source: spec/evaluation.md 1.1, defaults by seed.
  public var defaultKind: FeatureKind {
    switch pool {
    case .classToken: FeatureKind(.classToken(0))
    case .meanPatch: FeatureKind(.patchMean)
    case nil: Encoder.defaultKind(method: header.method, width: configuration.width)
    }
  }

  /// The kind that the papers of a method measure at the width of its encoder.
  static func defaultKind(method: String, width: Int) -> FeatureKind {
    switch method {
    case "udi", "mmc": FeatureKind(.classToken(0))
    case "moca": FeatureKind(.patchMean)
    // The contrast of MAE-CT looks at the class token of wide encoders and at the patches of others.
    default: FeatureKind(width >= 1024 ? .classToken(0) : .patchMean)
    }
  }
}

/// The tokens of the blocks that some kinds of features need.
private struct TappedTokens {
  private let vit: ViT
  private let last: Variable  // [B, N, D] after the final norm
  private let taps: [Int: Variable]  // [B, N, D] after so many blocks

  init(_ vit: ViT, _ images: Tensor, _ kinds: [FeatureKind]) {
    self.vit = vit
    let depth = vit.configuration.depth
    let needed = Set(kinds.flatMap { kind in kind.blocks(depth: depth).filter { kind.prenorm || $0 < depth } }).sorted()
    let encoded = vit.encoded(images, keep: nil, taps: needed)
    last = encoded.last
    taps = Dictionary(uniqueKeysWithValues: zip(needed, encoded.taps))
  }

  /// [B, itemShape...]
  func feature(_ kind: FeatureKind) -> Tensor {
    let classes = vit.classTokens
    let all = classes + vit.configuration.tokens
    let blocks = kind.blocks(depth: vit.configuration.depth)
    switch kind.content {
    case .classToken(let number):
      return joined([part(blocks[0], number..<number + 1, kind)]).reshaped([last.shape[0], last.shape[2]])
    case .patchMean: return mean(kind)
    case .concat: return flat([part(blocks[0], 0..<1, kind), mean(kind)])
    case .lastClassTokens(_, let isMean):
      return flat(blocks.map { part($0, 0..<1, kind) } + (isMean ? [mean(kind)] : []))
    case .patches: return joined(blocks.map { part($0, classes..<all, kind) })
    case .tokens: return joined([part(blocks[0], 0..<all, kind)])
    }
  }

  /// Some tokens after a block, normalised unless the kind says otherwise. [B, rows.count, D]
  private func part(_ block: Int, _ rows: Range<Int>, _ kind: FeatureKind) -> Tensor {
    if block == vit.configuration.depth, !kind.prenorm { return some(last, rows).value }
    guard let tokens = taps[block] else { preconditionFailure("TappedTokens: block \(block) was not tapped") }
    let chosen = some(tokens, rows)
    return kind.prenorm ? chosen.value : vit.normalized(chosen).value
  }

  private func some(_ tokens: Variable, _ rows: Range<Int>) -> Variable {
    if rows.count == tokens.shape[1] { return tokens }
    let indices = (0..<tokens.shape[0]).flatMap { _ in rows.map(Int32.init) }
    return gatherTokens(tokens, indices: indices, perImage: rows.count)
  }

  /// The mean of the patches after the last block. [B, D]
  private func mean(_ kind: FeatureKind) -> Tensor {
    let depth = vit.configuration.depth
    let tokens = kind.prenorm ? taps[depth] : last
    guard let tokens else { preconditionFailure("TappedTokens: the last block was not tapped") }
    return meanTokens(tokens, skipping: vit.classTokens).value
  }

  /// Tokens side by side. K times [B, R, D] -> [B, R, K D]
  private func joined(_ parts: [Tensor]) -> Tensor {
    if parts.count == 1 { return parts[0] }
    let (images, rows, width) = (parts[0].shape[0], parts[0].count / parts[0].shape[0] / last.shape[2], last.shape[2])
    let result = Tensor(uninitialized: [images, rows, parts.count * width])
    for (place, part) in parts.enumerated() {
      for row in 0..<images * rows {
        (result.pointer + (row * parts.count + place) * width).update(from: part.pointer + row * width, count: width)
      }
    }
    return result
  }

  /// Single vectors side by side. K times [B, D] or [B, 1, D] -> [B, K D]
  private func flat(_ parts: [Tensor]) -> Tensor {
    joined(parts).reshaped([last.shape[0], parts.count * last.shape[2]])
  }
}

extension FeatureKind {
  /// The blocks whose tokens it takes, the oldest first.
  fileprivate func blocks(depth: Int) -> [Int] {
    switch content {
    case .lastClassTokens(let count, _): return Array(depth - count + 1...depth)
    case .patches(let blocks) where !blocks.isEmpty: return blocks
    default: return [depth]
    }
  }
}
