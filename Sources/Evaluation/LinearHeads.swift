import Basics
import Tensors

/// Linear classifiers of one frozen feature that learn side by side from the same batches, each at a rate of its own.
///
/// All begin with the same weights. Products run over several heads at once, by the native engine, whose sums do not
/// depend on what stands beside them: a head learns the same bits alone, among others, on any rank and with any number
/// of threads.
/// - Shapes: H heads, C classes, D numbers a feature, B images a batch.
final class LinearHeads {
  /// What heads are made of.
  struct Design {
    var width: Int
    var classes: Int
    var normEpsilon: Double?
    var hasBias = true
    var optimizer = LinearOptimizer.sgd
    var momentum = 0.9
    var weightDecay = 0.0
    var seed: UInt64 = 0
  }

  /// The sizes and the rule.
  let design: Design
  /// The highest rate of each head.
  let rates: [Double]
  /// [H C, D].
  let weights: Tensor
  /// [H C].
  let biases: Tensor
  /// What stands before the heads.
  let norm: LinearNorm?
  private let weightVelocity: Tensor, biasVelocity: Tensor

  /// The deviation of the first weights. The truncation at 2 of some recipes lies 200 deviations away.
  private static let deviation = 0.01
  /// Logits of one product: they stay in the cache between the product, the softmax and the next product.
  private static let productLogits = 4 << 20

  /// Heads with their first weights, equal on every rank.
  init(_ design: Design, rates: [Double]) {
    self.design = design
    self.rates = rates
    let (rows, width) = (rates.count * design.classes, design.width)
    weights = Tensor(uninitialized: [rows, width])
    biases = Tensor(zeros: [rows])
    weightVelocity = Tensor(zeros: [rows, width])
    biasVelocity = Tensor(zeros: [rows])
    norm = design.normEpsilon.map { LinearNorm(width: width, eps: $0) }
    let count = design.classes * width
    var stream = RandomStream(seed: design.seed, purpose: .initialisation)
    let first = Tensor((0..<count).map { _ in Float(LinearHeads.deviation * stream.normal()) }, [count])
    for head in rates.indices { weights(ofHead: head).assign(first) }
  }

  /// The weights of a head, [C, D].
  func weights(ofHead head: Int) -> Tensor { weights.rows(head * design.classes..<(head + 1) * design.classes) }
  /// The bias of a head, [C].
  func bias(ofHead head: Int) -> Tensor { biases.rows(head * design.classes..<(head + 1) * design.classes) }

  /// One step of every head on a whole batch.
  ///
  /// - Parameter factor: the rates of this step as a share of the highest.
  /// - Returns: the loss of each head, summed over the batch.
  /// - Shapes: batch [B, D], labels [B] -> [H]
  func learn(_ batch: Tensor, labels: [Int32], factor: Double) -> [Double] {
    guard !rates.isEmpty else { return [] }
    let rows = batch.shape.leading
    let x = norm?.learned(batch) ?? batch
    var losses = [Double](repeating: 0, count: rates.count)
    for heads in groups(rows: rows) {
      let (logits, repeated) = (logits(x, of: heads), labels.repeated(heads.count))
      let logSums = Tensor(uninitialized: [rows * heads.count])
      _ = Kernels.crossEntropy(logits, .labels(repeated), logSums: logSums)
      for row in repeated.indices {
        let logit = logits.pointer[row * design.classes + Int(repeated[row])]
        losses[heads.lowerBound + row % heads.count] += Double(logSums.pointer[row]) - Double(logit)
      }
      let gradient = Tensor(uninitialized: logits.shape)
      Kernels.crossEntropyBackward(
        logits, .labels(repeated), logSums: logSums, scale: 1 / Float(rows), into: gradient)
      update(heads, x, logitGradient: gradient.reshaped([rows, heads.count * design.classes]), factor: factor)
    }
    return losses
  }

  /// The places of the right classes among the logits of every head, with the running statistics.
  ///
  /// - Shapes: rows [R, D], labels [R] -> [H][R]
  func ranks(_ rows: Tensor, labels: ArraySlice<Int32>) -> [[Int32]] {
    guard !rates.isEmpty else { return [] }
    let x = norm?.measured(rows) ?? rows
    return groups(rows: x.shape.leading).flatMap { heads in
      let places = labelRanks(logits(x, of: heads), labels.repeated(heads.count)[...])
      return heads.indices.map { head in
        stride(from: head, to: places.count, by: heads.count).map { places[$0] }
      }
    }
  }

  /// The logits of a head, with the running statistics.
  ///
  /// - Shapes: rows [R, D] -> [R, C]
  func logits(_ rows: Tensor, head: Int) -> Tensor { logits(norm?.measured(rows) ?? rows, of: head..<head + 1) }

  /// Whether all weights of a head are numbers.
  func isFinite(head: Int) -> Bool {
    [weights(ofHead: head), bias(ofHead: head)].allSatisfy { Kernels.nonFiniteCount($0.pointer, count: $0.count) == 0 }
  }

  /// Heads whose products are made together.
  private func groups(rows: Int) -> [Range<Int>] {
    let together = max(LinearHeads.productLogits / (rows * design.classes), 1)
    return stride(from: 0, to: rates.count, by: together).map { $0..<min($0 + together, rates.count) }
  }

  private func range(_ heads: Range<Int>) -> Range<Int> {
    heads.lowerBound * design.classes..<heads.upperBound * design.classes
  }

  /// Row i of head h stands at i * heads + h, since a row of the product holds all heads.
  ///
  /// - Shapes: x [R, D] -> [R heads, C]
  private func logits(_ x: Tensor, of heads: Range<Int>) -> Tensor {
    let rows = x.shape.leading
    let logits = Tensor(uninitialized: [rows, heads.count * design.classes])
    Matmul.forward(x, weights.rows(range(heads)), bias: biases.rows(range(heads)), into: logits, engine: .native)
    return logits.reshaped([rows * heads.count, design.classes])
  }

  /// - Shapes: x [B, D], logitGradient [B, heads C]
  private func update(_ heads: Range<Int>, _ x: Tensor, logitGradient: Tensor, factor: Double) {
    let classes = design.classes
    let gradient = Tensor(uninitialized: [heads.count * classes, design.width])
    Matmul.weightGradient(logitGradient, x, into: gradient, accumulate: false, engine: .native)
    let biasGradient = Tensor(zeros: [heads.count * classes])
    if design.hasBias { Kernels.addColumnSums(of: logitGradient, to: biasGradient) }
    for (place, head) in heads.enumerated() {
      let (part, own) = (place * classes..<(place + 1) * classes, head * classes..<(head + 1) * classes)
      let rule = LinearUpdate(
        optimizer: design.optimizer, rate: Float(rates[head] * factor), momentum: Float(design.momentum),
        weightDecay: Float(design.weightDecay))
      rule.apply(gradient.rows(part), to: weights.rows(own), velocity: weightVelocity.rows(own), isBias: false)
      if design.hasBias {
        rule.apply(biasGradient.rows(part), to: biases.rows(own), velocity: biasVelocity.rows(own), isBias: true)
      }
    }
  }
}

extension Collection<Int32> {
  /// Every label as often as there are heads.
  fileprivate func repeated(_ heads: Int) -> [Int32] { flatMap { repeatElement($0, count: heads) } }
}
