import Autodiff
import Tensors

/// A fully connected layer, y = x W^T + b.
///
/// Initialised as the MAE family does: W Xavier-uniform over the whole matrix, b zero.
public struct Linear {
  /// [out, in]
  public let weight: Parameter
  /// [out]
  public let bias: Parameter

  /// Declares `name.weight` and `name.bias`.
  public init(_ name: String, from inputs: Int, to outputs: Int, _ builder: ModelBuilder) {
    (weight, bias) = builder.scope(name) {
      (
        builder.parameter("weight", [outputs, inputs], .xavierUniform(fanIn: inputs, fanOut: outputs)),
        builder.parameter("bias", [outputs], .zeros)
      )
    }
  }

  /// Applies the layer to the last axis.
  ///
  /// - Shapes: x [..., in] -> [..., out].
  public func callAsFunction(_ x: Variable) -> Variable {
    linear(x, weight, bias: bias)
  }

  /// Applies the weight only; the bias is left to the op that takes the result.
  ///
  /// - Shapes: x [..., in] -> [..., out].
  public func withoutBias(_ x: Variable) -> Variable {
    linear(x, weight, bias: nil)
  }
}

/// The scale and shift of a LayerNorm; the op itself is `residualLayerNorm`.
public struct LayerNorm {
  /// [width], starts at 1.
  public let weight: Parameter
  /// [width], starts at 0.
  public let bias: Parameter

  /// Declares `name.weight` and `name.bias`.
  public init(_ name: String, width: Int, _ builder: ModelBuilder) {
    (weight, bias) = builder.scope(name) {
      (builder.parameter("weight", [width], .ones), builder.parameter("bias", [width], .zeros))
    }
  }
}
