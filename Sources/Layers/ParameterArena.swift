import Autodiff
import Basics
import Tensors

/// All weights of a model in one contiguous block, and the gradients of the trainable ones in a second one.
///
/// Parameters that are frozen already when the arena is made stand behind the others and have a weight only: the block
/// of gradients, and every other block that follows training, ends where they begin. Slices start at multiples of 16
/// floats (64 bytes); the padding between them stays 0 in all blocks, so that sums, averages and updates may run over
/// whole blocks.
public final class ParameterArena: @unchecked Sendable {
  /// Slices start at multiples of this many floats.
  public static let alignment = 16

  /// The parameters in the order of their slices: as they were declared, frozen ones behind the others.
  public let parameters: [Parameter]
  /// The parameters that have a gradient: the first ones of `parameters`, at the same places.
  public let trainable: [Parameter]
  /// The weights of all parameters, flat.
  public let weights: Tensor
  /// The gradients of the trainable parameters, to which backward adds, in the layout of `weights`.
  public private(set) var gradients: Tensor
  /// The gradients after they were summed over the ranks, to be read only: `gradients` itself, or memory that ranks
  /// share.
  public private(set) var reducedGradients: Tensor
  private let ranges: [Range<Int>]
  private let places: [String: Int]

  /// Lays out `declared` parameters and binds each one to its slices, all zero.
  public init(_ declared: [Parameter]) {
    trainable = declared.filter { !$0.isFrozen }
    parameters = trainable + declared.filter(\.isFrozen)
    var end = 0
    var ranges: [Range<Int>] = []
    var trainableEnd = 0
    for parameter in parameters {
      ranges.append(end..<(end + parameter.shape.count))
      end += Self.padded(parameter.shape.count)
      if !parameter.isFrozen { trainableEnd = end }
    }
    self.ranges = ranges
    places = Dictionary(uniqueKeysWithValues: parameters.enumerated().map { ($1.name, $0) })
    weights = Self.block(end)
    gradients = Self.block(trainableEnd)
    reducedGradients = gradients
    bind()
  }

  /// Moves the gradients into other memory: one that ranks share. Call it before the first backward pass.
  /// - Parameters:
  ///   - storage: room for `trainableCount` floats, all zero; what the gradients held before is lost.
  ///   - reduced: where their sums over the ranks will stand.
  public func placeGradients(in storage: Storage, reduced: Storage) {
    gradients = Tensor(storage: storage, offset: 0, shape: [trainableCount])
    reducedGradients = Tensor(storage: reduced, offset: 0, shape: [gradients.count])
    bind()
  }

  private func bind() {
    for (index, parameter) in parameters.enumerated() {
      parameter.bind(
        value: slice(weights, at: index), gradient: index < trainable.count ? slice(gradients, at: index) : nil)
    }
  }

  /// The length of the block of weights in floats, padding included.
  public var count: Int { weights.count }

  /// The length of the block of gradients in floats, padding included.
  public var trainableCount: Int { gradients.count }

  /// The number of numbers that are really parameters.
  public var parameterCount: Int { parameters.reduce(0) { $0 + $1.shape.count } }

  /// Where the slice of the parameter at `index` lies in the blocks, padding excluded.
  public func range(at index: Int) -> Range<Int> { ranges[index] }

  /// Where the slice of `parameter` lies in the blocks, padding excluded.
  public func range(of parameter: Parameter) -> Range<Int> {
    guard let place = places[parameter.name] else {
      preconditionFailure("ParameterArena: \(parameter.name) is not in this arena")
    }
    return ranges[place]
  }

  /// The parameter with this full name.
  public subscript(name: String) -> Parameter? { places[name].map { parameters[$0] } }

  /// A block in the layout of `gradients`, all zero: for optimiser moments.
  public func emptyBlock() -> Tensor { Self.block(trainableCount) }

  /// The part of `block`, a tensor in the layout of the weights or of the gradients, that belongs to the parameter at
  /// `index`.
  public func slice(_ block: Tensor, at index: Int) -> Tensor {
    precondition(
      block.count == count || block.count == trainableCount && index < trainable.count,
      "ParameterArena.slice: \(parameters[index].name) in a block of \(block.count), arena of \(count) floats, "
        + "\(trainableCount) of them trainable")
    return Tensor(
      storage: block.storage, offset: block.offset + ranges[index].lowerBound, shape: parameters[index].shape)
  }

  /// Sets every gradient to 0. Gradients that ranks share are zeroed by `GradientBuckets`.
  public func zeroGradients() {
    OpClock.measure(.optimiser, work: trainableCount) { gradients.fill(0) }
  }

  private static func padded(_ count: Int) -> Int { (count + alignment - 1) / alignment * alignment }

  private static func block(_ count: Int) -> Tensor {
    // Zeroed by the system and not touched before use.
    Tensor(storage: Storage.unpooled(count), offset: 0, shape: [count])
  }
}
