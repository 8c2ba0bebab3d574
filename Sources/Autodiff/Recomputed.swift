import Tensors

/// Runs `body` and keeps nothing of it but its inputs; backward runs it again, on a tape of its own, and differentiates
/// that.
///
/// The second run must repeat the first one bit by bit, and does: operations are deterministic, weights do not change
/// before backward, and random decisions are drawn before `body`, or inside from a stream with the same key.
/// - Parameters:
///   - inputs: what the results depend on, beside parameters.
///   - parameters: every parameter that `body` uses. Their gradients are reported as final after the whole of it.
/// - Gradient: to the inputs and the parameters, the same bits as of `body` alone when no input is an input of another
///   operation too.
/// - Memory: the inputs; for the time of its backward also what `body` keeps.
/// - Source: Chen et al., 2016, Training Deep Nets with Sublinear Memory Cost.
public func recomputed(
  from inputs: [Variable], using parameters: [Parameter], _ body: @escaping ([Variable]) -> [Variable]
) -> [Variable] {
  let kept = inputs.map(\.kept)
  let needsGradient = inputs.map(\.needsGradient)
  let values = withoutGradient { body(inputs.map(\.detached)).map(\.value) }
  return record(values, from: inputs, using: parameters, as: nil) { gradients in
    let leaves = kept.map { Variable.leaf($0.value) }
    let results = Tape.recording(true) {
      body(zip(leaves, needsGradient).map { leaf, isWanted in isWanted ? leaf.0 : leaf.0.detached })
    }
    for (result, gradient) in zip(results, gradients) {
      if let gradient, let node = result.node { node.slots[result.output].add(gradient) }
    }
    runBackward(from: results.compactMap(\.node), isWhole: false)
    return leaves.map { $0.gradient() }
  }
}
