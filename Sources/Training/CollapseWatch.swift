import Basics
import Features
import Foundation

/// Names a collapse when one shows: features that are all alike, or a contrastive loss that has learned nothing.
///
/// It never changes the run. Every sign is named once.
struct CollapseWatch {
  /// What collapsed and how it shows.
  enum Sign: String, CaseIterable {
    case encoderSpread = "emb_std"
    case encoderRank = "eff_rank"
    case headSpread = "head_std"
    case headRank = "head_eff_rank"
    case contrast = "loss_over_ln_batch"
  }

  /// The part of the model that features come from.
  enum Part: String {
    case encoder, head
  }

  /// A sign that was seen.
  struct Finding: Equatable {
    let sign: Sign
    let value: Double
    let limit: Double
    /// What is seen, with its numbers, and what to try.
    let text: String
  }

  /// Parts of the loss that are ln B when all predictions are alike.
  private static let contrastiveParts: Set<String> = ["nnclr"]
  /// Steps in a row with a loss of ln B after which it counts.
  private static let patience = 100
  /// Fewer features than this say nothing about their rank.
  private static let fewestFeatures = 8
  private let globalBatch: Int
  private var named: Set<Sign> = []
  private var uniformSteps = 0

  init(globalBatch: Int) { self.globalBatch = globalBatch }

  /// Looks at the features of a part after `step` updates; those of a fresh model say nothing.
  mutating func see(_ health: FeatureHealth, of part: Part, at step: Int) -> [Finding] {
    guard step > 0, health.count >= CollapseWatch.fewestFeatures else { return [] }
    var findings: [Finding] = []
    let isEncoder = part == .encoder
    let limit = 0.1 / Double(health.width).squareRoot()
    if health.standardDeviation < limit {
      findings += name(
        isEncoder ? .encoderSpread : .headSpread, health.standardDeviation, limit,
        "the features of the \(part.rawValue) are nearly the same for all images: their standard deviation is "
          + "\(short(health.standardDeviation)), below \(short(limit)) = 0.1 / sqrt(\(health.width))")
    }
    if health.effectiveRank < 2 {
      findings += name(
        isEncoder ? .encoderRank : .headRank, health.effectiveRank, 2,
        "the features of the \(part.rawValue) lie on one line: their effective rank is "
          + "\(short(health.effectiveRank)) of \(health.width), below 2")
    }
    return findings
  }

  /// Looks at the parts of the loss of one step.
  mutating func see(parts: [(name: String, value: Double)]) -> [Finding] {
    guard globalBatch > 1, let loss = parts.first(where: { CollapseWatch.contrastiveParts.contains($0.name) }) else {
      return []
    }
    let chance = log(Double(globalBatch))
    uniformSteps = abs(loss.value - chance) <= 1e-3 ? uniformSteps + 1 : 0
    guard uniformSteps >= CollapseWatch.patience else { return [] }
    return name(
      .contrast, loss.value, chance,
      "the loss \(loss.name) has been ln(\(globalBatch)) = \(short(chance)) for \(uniformSteps) steps, that of "
        + "predictions that are all alike")
  }

  private mutating func name(_ sign: Sign, _ value: Double, _ limit: Double, _ what: String) -> [Finding] {
    guard named.insert(sign).inserted else { return [] }
    let hint: String
    switch sign {
    case .encoderSpread, .encoderRank:
      hint = "lower optim.base_lr, lengthen optim.warmup, or start again from an earlier checkpoint"
    case .headSpread, .headRank:
      hint =
        "lower optim.head.base_lr; see that stages.head ran before, and that nnclr.queue_size and top_k fit the data"
    case .contrast:
      hint = "raise optim.base_lr if it has just begun, else lower it; look at nnclr.temperature and the augmentation"
    }
    return [Finding(sign: sign, value: value, limit: limit, text: "warning: \(what): a collapse\n  hint: \(hint)")]
  }
}
