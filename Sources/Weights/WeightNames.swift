/// The names that other programs give to the tensors of a Vision Transformer.
///
/// Our own names are those of a `ViT` and an `MAEDecoder`, and for the position tables `pos_embed` and
/// `decoder.pos_embed`. Query, key and value are one tensor here and three in some of the others.
public enum WeightNames: String, CaseIterable, Sendable {
  /// `timm.models.vision_transformer`; a second class token is its register token.
  case timm
  /// The reference repository of MAE, with its decoder.
  case mae
  /// The reference repository of DINO: those of timm, with one class token.
  case dino
  /// `ViTMAEModel` and `ViTMAEForPreTraining` of Hugging Face transformers.
  case huggingFace = "hf"

  /// Whether there is a name for a second class token.
  var hasSecondClassToken: Bool { self == .timm }

  /// Whether there are names for a decoder.
  var hasDecoder: Bool { self == .mae || self == .huggingFace }

  /// The names of one of our tensors: one, or three for query, key and value; nil when there is no place for it.
  func theirs(_ own: String) -> [String]? {
    let (module, leaf) = WeightNames.split(own)
    for rule in rules where rule.isModule != leaf.isEmpty {
      guard let number = rule.own.number(in: module) else { continue }
      return rule.theirs.map { $0.filled(with: number) + leaf }
    }
    return nil
  }

  /// Our name for one of theirs, and which part of it that is; nil when we have none.
  func own(_ theirs: String) -> (name: String, part: Int, parts: Int)? {
    let (module, leaf) = WeightNames.split(theirs)
    for rule in rules where rule.isModule != leaf.isEmpty {
      for (part, pattern) in rule.theirs.enumerated() {
        guard let number = pattern.number(in: module) else { continue }
        return (rule.own.filled(with: number) + leaf, part, rule.theirs.count)
      }
    }
    return nil
  }

  /// A name as its module and its `.weight` or `.bias`, which all conventions share.
  private static func split(_ name: String) -> (module: String, leaf: String) {
    for leaf in [".weight", ".bias"] where name.hasSuffix(leaf) {
      return (String(name.dropLast(leaf.count)), leaf)
    }
    return (name, "")
  }

  /// The first rule for a name of ours is the one that is written; those behind it are read only.
  private var rules: [NameRule] {
    switch self {
    case .timm: NameRule.plainEncoder + [NameRule(tensor: "cls_token_1", "reg_token")]
    case .dino: NameRule.plainEncoder
    case .mae: NameRule.plainEncoder + NameRule.plainDecoder
    case .huggingFace: NameRule.huggingFace
    }
  }
}

/// A name with at most one number in it, written `*`: `blocks.*.norm1`.
private struct NamePattern {
  private let head: Substring
  /// Behind the number; nil when there is none.
  private let tail: Substring?

  init(_ text: String) {
    let parts = text.split(separator: "*", omittingEmptySubsequences: false)
    head = parts[0]
    tail = parts.count > 1 ? parts[1] : nil
  }

  /// The digits in the place of the star, empty for a pattern without one; nil when the name is another.
  func number(in name: String) -> String? {
    guard let tail else { return name == head ? "" : nil }
    guard name.hasPrefix(head), name.hasSuffix(tail), name.count > head.count + tail.count else { return nil }
    let digits = name.dropFirst(head.count).dropLast(tail.count)
    return digits.allSatisfy { $0.isASCII && $0.isNumber } ? String(digits) : nil
  }

  func filled(with number: String) -> String { tail.map { "\(head)\(number)\($0)" } ?? String(head) }
}

/// One of our modules or tensors, and what another program has in its place.
private struct NameRule {
  let own: NamePattern
  /// Three for query, key and value.
  let theirs: [NamePattern]
  /// Whether it stands for a weight and a bias.
  let isModule: Bool

  init(module own: String, _ theirs: [String]) {
    self.own = NamePattern(own)
    self.theirs = theirs.map(NamePattern.init)
    isModule = true
  }

  init(tensor own: String, _ theirs: String) {
    self.own = NamePattern(own)
    self.theirs = [NamePattern(theirs)]
    isModule = false
  }

  /// The rules of the blocks below two names.
  private static func blocks(_ own: String, _ theirs: String, _ parts: [(own: String, theirs: [String])]) -> [NameRule]
  {
    parts.map { part in NameRule(module: "\(own).*.\(part.own)", part.theirs.map { "\(theirs).*.\($0)" }) }
  }

  private static let plainParts = ["norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"].map {
    (own: $0, theirs: [$0])
  }

  static let plainEncoder =
    ["cls_token", "pos_embed"].map { NameRule(tensor: $0, $0) }
    + ["patch_embed.proj", "norm"].map { NameRule(module: $0, [$0]) } + blocks("blocks", "blocks", plainParts)

  static let plainDecoder =
    [
      NameRule(tensor: "decoder.mask_token", "mask_token"),
      NameRule(tensor: "decoder.pos_embed", "decoder_pos_embed"),
    ] + ["embed", "norm", "pred"].map { NameRule(module: "decoder.\($0)", ["decoder_\($0)"]) }
    + blocks("decoder.blocks", "decoder_blocks", plainParts)

  /// The parts of a block in files on the hub.
  private static let huggingFaceParts: [(own: String, theirs: [String])] = [
    ("norm1", ["layernorm_before"]),
    ("attn.qkv", ["query", "key", "value"].map { "attention.attention.\($0)" }),
    ("attn.proj", ["attention.output.dense"]), ("norm2", ["layernorm_after"]), ("mlp.fc1", ["intermediate.dense"]),
    ("mlp.fc2", ["output.dense"]),
  ]

  /// The parts of a block in a model of transformers 5 in memory.
  private static let huggingFaceModelParts: [(own: String, theirs: [String])] = [
    ("norm1", ["layernorm_before"]), ("attn.qkv", ["q", "k", "v"].map { "attention.\($0)_proj" }),
    ("attn.proj", ["attention.o_proj"]), ("norm2", ["layernorm_after"]), ("mlp.fc1", ["mlp.fc1"]),
    ("mlp.fc2", ["mlp.fc2"]),
  ]

  static let huggingFace =
    [
      NameRule(tensor: "cls_token", "vit.embeddings.cls_token"),
      NameRule(tensor: "pos_embed", "vit.embeddings.position_embeddings"),
      NameRule(module: "patch_embed.proj", ["vit.embeddings.patch_embeddings.projection"]),
      NameRule(module: "norm", ["vit.layernorm"]), NameRule(tensor: "decoder.mask_token", "decoder.mask_token"),
      NameRule(tensor: "decoder.pos_embed", "decoder.decoder_pos_embed"),
    ] + ["embed", "norm", "pred"].map { NameRule(module: "decoder.\($0)", ["decoder.decoder_\($0)"]) }
    + blocks("blocks", "vit.encoder.layer", huggingFaceParts)
    + blocks("decoder.blocks", "decoder.decoder_layers", huggingFaceParts)
    + blocks("blocks", "vit.layers", huggingFaceModelParts)
    + blocks("decoder.blocks", "decoder.decoder_layers", huggingFaceModelParts)
    // What transformers 5 writes for the decoder.
    + blocks("decoder.blocks", "decoder.decoder_encoder.layer", huggingFaceParts)
}
