/// Where the positions of the patches come from.
public enum PositionKind: String, CaseIterable, Sendable {
  /// The fixed sine-cosine table, which no file needs to hold.
  case sinCos = "sincos"
  /// A parameter `pos_embed` that is not trained: the table of an imported model.
  case stored
}

/// The size of a Vision Transformer.
public struct ViTConfiguration: Equatable, Sendable {
  /// Width of a token (D).
  public var width: Int
  /// Number of blocks.
  public var depth: Int
  /// Attention heads.
  public var heads: Int
  /// Side of a patch in pixels.
  public var patch: Int
  /// Side of the square input in pixels.
  public var imgSize: Int
  /// Channels of the input.
  public var inChans: Int
  /// Width of the hidden layer of a block's MLP over D.
  public var mlpRatio: Int
  /// Where the positions come from.
  public var positions = PositionKind.sinCos

  /// A free size.
  public init(
    width: Int, depth: Int, heads: Int, patch: Int, imgSize: Int, inChans: Int = 3, mlpRatio: Int = 4
  ) {
    self.width = width
    self.depth = depth
    self.heads = heads
    self.patch = patch
    self.imgSize = imgSize
    self.inChans = inChans
    self.mlpRatio = mlpRatio
  }

  /// Patches along a side (g).
  public var grid: Int { imgSize / patch }
  /// Patches of an image (L).
  public var tokens: Int { grid * grid }
  /// Numbers of a patch (d = C P^2).
  public var patchDim: Int { inChans * patch * patch }
  /// Width of the hidden layer of a block's MLP.
  public var hidden: Int { width * mlpRatio }

  /// What keeps a model of this size from being built, in words; nil when nothing does.
  public var obstacle: String? {
    if [width, depth, heads, patch, imgSize, inChans, mlpRatio].contains(where: { $0 < 1 }) {
      return "every size of the model must be at least 1"
    }
    if width % heads != 0 { return "width \(width) is not a multiple of \(heads) heads" }
    if width % 4 != 0 { return "width \(width) is not a multiple of 4, which the position table needs" }
    if imgSize % patch != 0 { return "image side \(imgSize) is not a multiple of the patch side \(patch)" }
    return nil
  }

  private static let sizes: [(name: String, width: Int, depth: Int, heads: Int)] = [
    ("tiny", 192, 12, 3), ("small", 384, 12, 6), ("base", 768, 12, 12), ("large", 1024, 24, 16),
    ("huge", 1280, 32, 16),
  ]

  /// Models with a common name; `named(_:)` takes any patch and image size.
  public static let names: [String] =
    sizes.map { "vit_\($0.name)_patch16_224" } + ["vit_huge_patch14_224", "vit_tiny_patch4_32"]

  /// The configuration of a name such as `vit_small_patch16_224`; nil when it is none.
  public static func named(_ name: String) -> ViTConfiguration? {
    let parts = name.split(separator: "_", omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0] == "vit", parts[2].hasPrefix("patch"),
      let size = sizes.first(where: { $0.name == parts[1] }),
      let patch = Int(parts[2].dropFirst(5)), let imgSize = Int(parts[3])
    else { return nil }
    let result = ViTConfiguration(
      width: size.width, depth: size.depth, heads: size.heads, patch: patch, imgSize: imgSize)
    return result.obstacle == nil ? result : nil
  }
}
