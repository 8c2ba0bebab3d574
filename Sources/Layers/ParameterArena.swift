import Autodiff
import Basics
import Tensors

/// All weights of a model in one contiguous block, and the gradients in a second one of the same layout.
///
/// Slices follow the order of declaration and start at multiples of 16 floats (64 bytes); the padding between
/// them stays 0 in both blocks, so that sums, averages and updates may run over whole blocks.
public final class ParameterArena: @unchecked Sendable {
  /// Slices start at multiples of this many floats.
  public static let alignment = 16

  /// The parameters in the order of declaration.
  public let parameters: [Parameter]
  /// The weights of all parameters, flat.
  public let weights: Tensor
  /// The gradients of all parameters, in the layout of `weights`.
  public private(set) var gradients: Tensor
  private let ranges: [Range<Int>]
  private let places: [String: Int]

  /// Lays out `parameters` and binds each one to its slices, all zero.
  public init(_ parameters: [Parameter]) {
    var end = 0
    var ranges: [Range<Int>] = []
    for parameter in parameters {
      ranges.append(end..<(end + parameter.shape.count))
      end += Self.padded(parameter.shape.count)
    }
    self.parameters = parameters
    self.ranges = ranges
    places = Dictionary(uniqueKeysWithValues: parameters.enumerated().map { ($1.name, $0) })
    weights = Self.block(end)
    gradients = Self.block(end)
    bind()
  }

  /// Moves the gradients into other memory: one that ranks share. Call it before the first backward pass.
  /// - Parameters:
  ///   - storage: room for `count` floats, all zero; what the gradients held before is lost.
  public func placeGradients(in storage: Storage) {
    gradients = Tensor(storage: storage, offset: 0, shape: [count])
    bind()
  }

  private func bind() {
    for (parameter, range) in zip(parameters, ranges) {
      parameter.bind(
        value: Tensor(storage: weights.storage, offset: range.lowerBound, shape: parameter.shape),
        gradient: Tensor(storage: gradients.storage, offset: range.lowerBound, shape: parameter.shape))
    }
  }

  /// The length of the blocks in floats, padding included.
  public var count: Int { weights.count }

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

  /// A block of the arena's layout, all zero: for optimiser moments and averages.
  public func emptyBlock() -> Tensor { Self.block(count) }

  /// The part of `block`, a tensor of the arena's layout, that belongs to the parameter at `index`.
  public func slice(_ block: Tensor, at index: Int) -> Tensor {
    precondition(block.count == count, "ParameterArena.slice: block of \(block.count), arena of \(count) floats")
    return Tensor(
      storage: block.storage, offset: block.offset + ranges[index].lowerBound, shape: parameters[index].shape)
  }

  /// Sets every gradient to 0. Call before the first micro-batch of a step.
  public func zeroGradients() {
    OpClock.measure(.optimiser, work: count) { gradients.fill(0) }
  }

  private static func padded(_ count: Int) -> Int { (count + alignment - 1) / alignment * alignment }

  private static func block(_ count: Int) -> Tensor {
    // Zeroed by the system and not touched before use: the gradients of a frozen copy cost no memory.
    Tensor(storage: Storage.unpooled(count), offset: 0, shape: [count])
  }
}
