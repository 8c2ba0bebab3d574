import Autodiff
import Layers

// Layer-wise decay of the learning rate: the lower a layer of a Vision Transformer, the slower it learns.
extension ParameterGroup {
  /// Those of an encoder's parameters that are trained, two groups a layer: `stem`, `blocks.N` and `norm`, each
  /// `.decay` and `.no_decay`, from the lowest layer to the highest; empty groups are left out.
  ///
  /// Block i learns at `decay` to the power of depth - i of the run's rate, so the last one at `decay` already; class
  /// tokens and patch embedding at the power of depth + 1, the final norm at 1.
  ///
  /// - Parameters:
  ///   - encoder: parameters of one `ViT`, which tell their layer by their names.
  ///   - depth: the number of blocks.
  ///   - decay: more than 0; 1 gives all layers the run's rate.
  /// - Source: spec mae-ct 4.3.
  public static func layerDecayed(_ encoder: [Parameter], depth: Int, decay: Double) -> [ParameterGroup] {
    precondition(depth > 0 && decay > 0, "layerDecayed: \(depth) blocks, decay \(decay)")
    let layers = encoder.map { parameter in
      guard let layer = Layer(parameter.name), layer.number < depth || layer == .norm else {
        preconditionFailure("layerDecayed: \(parameter.name) is in no layer of a ViT of \(depth) blocks")
      }
      return layer
    }
    return ([.stem] + (0..<depth).map(Layer.block) + [.norm]).flatMap { layer in
      let members = zip(encoder, layers).filter { $1 == layer }.map(\.0)
      return split(layer.name, members, rateScale: layer.rateScale(depth: depth, decay: decay))
        .filter { !$0.parameters.isEmpty }
    }
  }
}

/// Where in a Vision Transformer a parameter stands.
private enum Layer: Equatable {
  case stem
  case block(Int)
  case norm

  init?(_ parameter: String) {
    let parts = parameter.split(separator: ".")
    switch parts.first {
    case "cls_token", "cls_token_1", "patch_embed": self = .stem
    case "norm": self = .norm
    case "blocks":
      guard parts.count > 1, let number = Int(parts[1]) else { return nil }
      self = .block(number)
    default: return nil
    }
  }

  var name: String {
    switch self {
    case .stem: "stem"
    case .block(let number): "blocks.\(number)"
    case .norm: "norm"
    }
  }

  /// The block's number; those below and above count as block -1 and as none.
  var number: Int {
    switch self {
    case .stem: -1
    case .block(let number): number
    case .norm: .max
    }
  }

  func rateScale(depth: Int, decay: Double) -> Double {
    // Multiplied out: the same bits on every machine.
    let steps =
      switch self {
      case .stem: depth + 1
      case .block(let number): depth - number
      case .norm: 0
      }
    return (0..<steps).reduce(1) { scale, _ in scale * decay }
  }
}
