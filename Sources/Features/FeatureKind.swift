import Basics

/// Which numbers of an encoded image are its feature.
///
/// - Source: spec/evaluation.md 1.1.
public struct FeatureKind: Hashable, Sendable, CustomStringConvertible {
  /// What is taken from the tokens.
  public enum Content: Hashable, Sendable {
    /// Class token 0 or 1 of the last block: [D].
    case classToken(Int)
    /// The mean of the patch tokens of the last block, normalised first: [D].
    case patchMean
    /// The first class token, then the mean of the patches: [2 D].
    case concat
    /// The first class token of the last blocks, the oldest first, then the mean of the patches if asked: [K D].
    case lastClassTokens(Int, mean: Bool)
    /// The patch tokens of blocks counted from 1, joined per patch; none stands for the last block: [L, K D].
    case patches([Int])
    /// Every token of the last block, class tokens first: [C + L, D].
    case tokens
  }

  /// What is taken.
  public let content: Content
  /// Whether the final norm is left out.
  public let prenorm: Bool

  /// A kind.
  public init(_ content: Content, prenorm: Bool = false) {
    self.content = content
    self.prenorm = prenorm
  }

  /// Reads `cls`, `cls+`, `patchmean`, `concat`, `lastK:4`, `lastK:4+mean`, `patches`, `patches:6,8,10,12`, `tokens`;
  /// behind any of them `:prenorm`.
  ///
  /// - Throws: usage for another word.
  public init(parsing text: String) throws(Failure) {
    let isPrenorm = text.hasSuffix(":prenorm")
    let word = isPrenorm ? String(text.dropLast(8)) : text
    guard let content = FeatureKind.content(word) else {
      throw Failure(
        .usage, "there is no feature named '\(text)'", at: "--feature",
        hint: "one of cls, cls+, patchmean, concat, lastK:4, lastK:4+mean, patches, patches:6,8,10,12, tokens; "
          + "with :prenorm behind it the final norm is left out")
    }
    self.init(content, prenorm: isPrenorm)
  }

  private static func content(_ word: String) -> Content? {
    switch word {
    case "cls": return .classToken(0)
    case "cls+": return .classToken(1)
    case "patchmean": return .patchMean
    case "concat": return .concat
    case "patches": return .patches([])
    case "tokens": return .tokens
    default: break
    }
    if word.hasPrefix("lastK:") {
      let isMean = word.hasSuffix("+mean")
      guard let count = Int(word.dropFirst(6).dropLast(isMean ? 5 : 0)), count > 0 else { return nil }
      return .lastClassTokens(count, mean: isMean)
    }
    guard word.hasPrefix("patches:") else { return nil }
    let blocks = word.dropFirst(8).split(separator: ",", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
    return blocks.allSatisfy { $0 > 0 } ? .patches(blocks) : nil
  }

  /// The word that `init(parsing:)` reads: the name in files and reports.
  public var description: String {
    let word =
      switch content {
      case .classToken(let number): number == 0 ? "cls" : "cls+"
      case .patchMean: "patchmean"
      case .concat: "concat"
      case .lastClassTokens(let count, let mean): "lastK:\(count)" + (mean ? "+mean" : "")
      case .patches([]): "patches"
      case .patches(let blocks): "patches:" + blocks.map(String.init).joined(separator: ",")
      case .tokens: "tokens"
      }
    return word + (prenorm ? ":prenorm" : "")
  }
}
