import Autodiff
import Basics
import Glibc
import Layers
import Tensors

/// Adam with decoupled weight decay.
///
/// p *= 1 - rate * decay, then p -= rate * (m / c1) / (sqrt(v / c2) + eps). The corrections c1 and c2 are computed
/// in double from each parameter's own number of updates, so a parameter that starts late starts afresh.
///
/// - Source: Loshchilov and Hutter, 2019; the order of operations of PyTorch's `AdamW`.
public final class AdamW: Optimizer {
  /// The averages of the gradients, in their layout.
  public let firstMoment: Tensor
  /// The averages of the squared gradients, in the layout of the gradients.
  public let secondMoment: Tensor
  private let counts: IntegerBlock
  private let arena: ParameterArena
  private let groups: [ParameterGroup]
  private let betas: (Double, Double)
  private let eps: Double
  /// Those of one parameter stand together.
  private let pieces: [Piece]

  /// A part of one parameter's slice, small enough to share the work between threads.
  private struct Piece {
    let group: Int
    let parameter: Int
    let range: Range<Int>
  }

  private static let pieceLength = 1 << 14

  /// An optimiser with zero moments. A parameter may be in one group only; one in none is never updated. Those without
  /// a gradient are in none.
  public init(arena: ParameterArena, groups: [ParameterGroup], betas: (Double, Double), eps: Double = 1e-8) {
    self.arena = arena
    self.groups = groups
    self.betas = betas
    self.eps = eps
    firstMoment = arena.emptyBlock()
    secondMoment = arena.emptyBlock()
    counts = IntegerBlock(repeating: 0, count: arena.trainable.count)
    let places = Dictionary(uniqueKeysWithValues: arena.trainable.enumerated().map { ($1.name, $0) })
    var taken: Set<String> = []
    var pieces: [Piece] = []
    for (group, members) in groups.enumerated() {
      for parameter in members.parameters {
        guard let place = places[parameter.name] else {
          preconditionFailure("AdamW: \(parameter.name) of group \(members.name) is not in the arena, or frozen there")
        }
        precondition(taken.insert(parameter.name).inserted, "AdamW: \(parameter.name) is in two groups")
        let slice = arena.range(at: place)
        for start in stride(from: slice.lowerBound, to: slice.upperBound, by: Self.pieceLength) {
          let end = min(start + Self.pieceLength, slice.upperBound)
          pieces.append(Piece(group: group, parameter: place, range: start..<end))
        }
      }
    }
    self.pieces = pieces
  }

  /// How often the parameter updated most often was updated.
  public var updates: Int { (0..<counts.count).map { Int(counts[$0]) }.max() ?? 0 }

  /// `optimizer/m/NAME` and `optimizer/v/NAME` of every grouped parameter, and `optimizer/updates`.
  public var state: [NamedState] {
    let members = Set(pieces.map(\.parameter)).sorted()
    return members.map { NamedState("optimizer/m/\(arena.trainable[$0].name)", arena.slice(firstMoment, at: $0)) }
      + members.map { NamedState("optimizer/v/\(arena.trainable[$0].name)", arena.slice(secondMoment, at: $0)) }
      + [NamedState("optimizer/updates", counts)]
  }

  /// Updates the weights of every group that has started.
  public func update(_ context: UpdateContext) {
    let active = groups.map { context.epoch >= $0.firstEpoch }
    // Thousands of pieces: a copy of them would take fresh pages from the system in every step.
    let due = active.contains(false) ? pieces.filter { active[$0.group] } : pieces
    for (place, piece) in due.enumerated() where place == 0 || due[place - 1].parameter != piece.parameter {
      counts[piece.parameter] += 1
    }
    let corrections = (0..<counts.count).map { parameter in
      let count = Double(max(counts[parameter], 1))
      return (Float(1 - pow(betas.0, count)), Float(1 - pow(betas.1, count)))
    }
    let weights = arena.weights.pointer
    let gradients = arena.reducedGradients.pointer
    let (m, v) = (firstMoment.pointer, secondMoment.pointer)
    // Weight, gradient and both moments are read; all but the gradient are written.
    OpClock.measure(.optimiser, work: 7 * due.reduce(0) { $0 + $1.range.count }) {
      Team.split(due.count) { range in
        for piece in due[range] {
          let group = groups[piece.group]
          let start = piece.range.lowerBound
          let correction = corrections[piece.parameter]
          Kernels.adamW(
            weights: weights + start, gradients: gradients + start, m: m + start, v: v + start,
            count: piece.range.count,
            lr: Float(group.ownRate ?? (context.rate * group.rateScale)),
            beta1: Float(betas.0), beta2: Float(betas.1), eps: Float(eps),
            weightDecay: group.decays ? Float(group.ownDecay ?? context.weightDecay) : 0,
            biasCorrection1: correction.0, biasCorrection2: correction.1,
            gradientScale: context.gradientScale[piece.parameter])
        }
      }
    }
  }
}
