import Autodiff
import Tensors

// Shapes: n images of this rank, one row each in every view.

/// The projector of NNCLR: three linear layers without bias, BatchNorm after each, ReLU after the first two.
///
/// - Source: Lehner et al., 2023; spec mae-ct section 3.
public struct Projector {
  private let layers: NormedLayers

  /// Declares `projector.fc1.weight`, `projector.bn1.weight`, `projector.bn1.bias` and so on up to 3.
  public init(from inputs: Int, hidden: Int = 2048, to outputs: Int = 256, _ builder: ModelBuilder) {
    layers = NormedLayers("projector", [inputs, hidden, hidden, outputs], endsWithNorm: true, builder)
  }

  /// One vector for each image and view, not normalised to length 1.
  ///
  /// - Shapes: views [n, inputs] -> views [n, outputs].
  /// - Parameters:
  ///   - ranks: over whom each view's statistics are taken.
  ///   - tracks: whether running statistics are to take in each view, at the next `settle`.
  /// - Collective: all ranks of `ranks`, forward and backward.
  public func callAsFunction(_ views: [Variable], over ranks: RankSum, tracks: Bool = true) -> [Variable] {
    layers(views, over: ranks, tracks: tracks)
  }

  /// The same with running statistics, image by image.
  ///
  /// - Shapes: x [n, inputs] -> [n, outputs].
  public func evaluated(_ x: Variable) -> Variable { layers.evaluated(x) }

  /// Lets the running statistics take in what forward passes have found since the last call: once the step stands.
  public func settle() { layers.settle() }

  /// The running statistics, under `PREFIX/projector.bn1.running_mean` and so on.
  public func buffers(_ prefix: String) -> [NamedState] { layers.buffers(prefix) }

  /// Takes over the running statistics of another projector of the same widths.
  public func copyBuffers(from other: Projector) { layers.copyBuffers(from: other.layers) }

  /// The work of one image in one view.
  public var cost: ForwardCost { layers.cost }
}

/// The predictor of NNCLR: a linear layer without bias, BatchNorm, ReLU, and a second linear layer without bias.
///
/// - Source: Lehner et al., 2023; spec mae-ct section 3.
public struct Predictor {
  private let layers: NormedLayers

  /// Declares `predictor.fc1.weight`, `predictor.bn1.weight`, `predictor.bn1.bias` and `predictor.fc2.weight`.
  public init(from inputs: Int = 256, hidden: Int = 4096, to outputs: Int = 256, _ builder: ModelBuilder) {
    layers = NormedLayers("predictor", [inputs, hidden, outputs], endsWithNorm: false, builder)
  }

  /// One vector for each image and view, not normalised to length 1.
  ///
  /// - Shapes: views [n, inputs] -> views [n, outputs].
  /// - Parameters:
  ///   - ranks: over whom each view's statistics are taken.
  ///   - tracks: whether running statistics are to take in each view, at the next `settle`.
  /// - Collective: all ranks of `ranks`, forward and backward.
  public func callAsFunction(_ views: [Variable], over ranks: RankSum, tracks: Bool = true) -> [Variable] {
    layers(views, over: ranks, tracks: tracks)
  }

  /// The same with running statistics, image by image.
  ///
  /// - Shapes: x [n, inputs] -> [n, outputs].
  public func evaluated(_ x: Variable) -> Variable { layers.evaluated(x) }

  /// Lets the running statistics take in what forward passes have found since the last call: once the step stands.
  public func settle() { layers.settle() }

  /// The running statistics, under `PREFIX/predictor.bn1.running_mean` and so on.
  public func buffers(_ prefix: String) -> [NamedState] { layers.buffers(prefix) }

  /// Takes over the running statistics of another predictor of the same widths.
  public func copyBuffers(from other: Predictor) { layers.copyBuffers(from: other.layers) }

  /// The work of one image in one view.
  public var cost: ForwardCost { layers.cost }
}

/// Linear layers without bias, with BatchNorm and ReLU between them.
private struct NormedLayers {
  private let weights: [Parameter]
  /// One after each weight, the last one optional.
  private let norms: [BatchNorm]

  /// Declares `name.fcN.weight`, `name.bnN.weight` and `name.bnN.bias`, N from 1.
  init(_ name: String, _ widths: [Int], endsWithNorm: Bool, _ builder: ModelBuilder) {
    var weights: [Parameter] = []
    var norms: [BatchNorm] = []
    builder.scope(name) {
      for layer in 1..<widths.count {
        let (inputs, outputs) = (widths[layer - 1], widths[layer])
        // The default of the framework that the paper's code uses, not the encoder's Xavier.
        weights.append(
          builder.parameter(
            "fc\(layer).weight", [outputs, inputs], .uniform(bound: 1 / Double(inputs).squareRoot())))
        if layer < widths.count - 1 || endsWithNorm {
          norms.append(BatchNorm("bn\(layer)", width: outputs, builder))
        }
      }
    }
    (self.weights, self.norms) = (weights, norms)
  }

  private func isRectified(_ layer: Int) -> Bool { layer < weights.count - 1 }

  func callAsFunction(_ views: [Variable], over ranks: RankSum, tracks: Bool) -> [Variable] {
    var views = views
    for (layer, weight) in weights.enumerated() {
      views = views.map { linear($0, weight) }
      guard layer < norms.count else { continue }
      views = norms[layer](views, rectified: isRectified(layer), over: ranks, tracks: tracks)
    }
    return views
  }

  func evaluated(_ x: Variable) -> Variable {
    var x = x
    for (layer, weight) in weights.enumerated() {
      x = linear(x, weight)
      if layer < norms.count { x = norms[layer].evaluated(x, rectified: isRectified(layer)) }
    }
    return x
  }

  func settle() { norms.forEach { $0.running.settle() } }

  func buffers(_ prefix: String) -> [NamedState] { norms.flatMap { $0.buffers(prefix) } }

  func copyBuffers(from other: NormedLayers) {
    for (own, other) in zip(norms, other.norms) { own.running.copy(from: other.running) }
  }

  var cost: ForwardCost { ForwardCost(layers: Double(weights.reduce(0) { $0 + $1.shape.count })) }
}
