import Autodiff
import TestKit
import Tensors

/// A bound parameter of random values.
func parameter(_ name: String, _ shape: Shape, seed: UInt64, scale: Float = 1) -> Parameter {
  let parameter = Parameter(name: name, shape: shape)
  parameter.bind(value: tensor(shape, seed: seed, scale: scale), gradient: Tensor(zeros: shape))
  return parameter
}

func tensor(_ shape: Shape, seed: UInt64, scale: Float = 1) -> Tensor {
  Tensor(ExactRandom.floats(shape.count, seed: seed).map { $0 * scale }, shape)
}
