import Basics
import Tensors

/// How far analytic gradients are from central differences.
package struct GradientCheck {
  /// The norm of the difference over the norm of the central differences, the worst input or parameter.
  package let worstError: Double
  /// The input (`input 0`) or parameter that it belongs to.
  package let worst: String
}

/// Compares the gradients of `body` with central differences in every element of every input and parameter.
///
/// The scalar that is differentiated is a fixed random combination of the result, summed in double.
/// - Parameters:
///   - step: the distance of the differences; float32 arithmetic asks for about 1e-2 at values of order 1.
package func gradientCheck(
  inputs: [Tensor], parameters: [Parameter] = [], step: Float = 1e-2, _ body: ([Variable]) -> Variable
) -> GradientCheck {
  let leaves = inputs.map { Variable.leaf($0) }
  for parameter in parameters { parameter.gradient.fill(0) }
  let result = body(leaves.map { $0.0 })
  var random = RandomStream(seed: 7, purpose: .probe)
  let weights = Tensor((0..<result.shape.count).map { _ in Float(random.uniform(-1.0..<1.0)) }, result.shape)
  result.backward(gradient: weights)

  func objective() -> Double {
    let y = withoutGradient { body(inputs.map { Variable(constant: $0) }).value }
    return Kernels.dot(y.pointer, weights.pointer, count: y.count)
  }
  var named: [(name: String, value: Tensor, gradient: Tensor?)] = []
  for (i, leaf) in leaves.enumerated() { named.append(("input \(i)", inputs[i], leaf.gradient())) }
  for parameter in parameters where !parameter.isFrozen {
    named.append((parameter.name, parameter.value, parameter.gradient))
  }
  let errors = named.map { item in
    (item.name, error(of: item.gradient, at: item.value, step: step, objective))
  }
  let worst = errors.max { $0.1 < $1.1 } ?? ("nothing", .infinity)
  return GradientCheck(worstError: worst.1, worst: worst.0)
}

private func error(of gradient: Tensor?, at value: Tensor, step: Float, _ objective: () -> Double) -> Double {
  var difference = 0.0
  var reference = 0.0
  for i in 0..<value.count {
    let kept = value.pointer[i]
    value.pointer[i] = kept + step
    let (above, high) = (objective(), Double(value.pointer[i]))
    value.pointer[i] = kept - step
    let (below, low) = (objective(), Double(value.pointer[i]))
    value.pointer[i] = kept
    let numeric = (above - below) / (high - low)
    let analytic = Double(gradient?.pointer[i] ?? 0)
    difference += (analytic - numeric) * (analytic - numeric)
    reference += numeric * numeric
  }
  return (difference / max(reference, 1e-12)).squareRoot()
}
