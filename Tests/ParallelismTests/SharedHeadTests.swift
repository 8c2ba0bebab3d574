import Autodiff
import Basics
import Layers
import Messaging
import TestKit
import Tensors
import XCTest

@testable import Parallelism

/// Statistics and negatives over the global batch, against one rank that holds all of it. Collective.
final class SharedHeadTests: XCTestCase {
  private func values(_ shape: Shape, seed: UInt64) -> Tensor {
    Tensor(ExactRandom.floats(shape.count, seed: seed), shape)
  }

  private func unitRows(_ rows: Int, _ width: Int, seed: UInt64) -> Tensor {
    l2Normalize(Variable(constant: values([rows, width], seed: seed))).value
  }

  /// How many rows each rank has: as even as can be, few on one rank, none on the last one.
  private func blocks(_ batch: Int, _ ranks: Int) -> [[Int]] {
    let even = (0..<ranks).map { blockRange(count: batch, part: $0, of: ranks).count }
    guard ranks > 1 else { return [even] }
    let lopsided = [batch - (ranks - 1)] + [Int](repeating: 1, count: ranks - 1)
    let absent = (0..<ranks - 1).map { blockRange(count: batch, part: $0, of: ranks - 1).count } + [0]
    return [even, lopsided, absent]
  }

  private func range(_ counts: [Int], _ rank: Int) -> Range<Int> {
    let start = counts[..<rank].reduce(0, +)
    return start..<start + counts[rank]
  }

  func testGatheredRowsStandInRankOrder() throws {
    let communicator = try World.start().communicator
    for width in [1, 7, 256] {
      for counts in blocks(13, communicator.size) {
        let all = (5..<8).map { values([13, width], seed: $0) }
        let own = all.map { $0.rows(range(counts, communicator.rank)).copy() }
        let gathered = try communicator.gatherRows(own, counts: counts)
        XCTAssertEqual(gathered.map(\.shape), all.map(\.shape))
        XCTAssertEqual(gathered.map(\.array), all.map(\.array))
        if communicator.size == 1 {
          XCTAssertEqual(gathered.map(\.pointer), own.map(\.pointer), "one rank has them already")
        }
      }
    }
  }

  func testSumsOverRanks() throws {
    let communicator = try World.start().communicator
    let sum = RankSum(over: communicator)
    var values = [Double(communicator.rank + 1), 0.5, -1e-30]
    sum(&values)
    let ranks = Double(communicator.size)
    XCTAssertEqual(values[0], ranks * (ranks + 1) / 2)
    XCTAssertEqual(values[1], ranks / 2)
    XCTAssertEqual(values[2], -1e-30 * ranks, accuracy: 1e-42)
  }

  /// Outputs, statistics, gradients of views and parameters of ragged blocks are those of the whole batch.
  func testBatchNormOverRanksIsThatOfTheWholeBatch() throws {
    let communicator = try World.start().communicator
    let (batch, width) = (13, 37)
    let inputs = [values([batch, width], seed: 1), values([batch, width], seed: 2)]
    let gradients = [values([batch, width], seed: 3), values([batch, width], seed: 4)]
    func run(_ rows: Range<Int>, over ranks: RankSum) throws -> (outputs: [Tensor], [Tensor], ParameterArena) {
      let builder = ModelBuilder(seed: 0)
      let weight = builder.parameter("weight", [width], .normal(std: 1))
      let bias = builder.parameter("bias", [width], .normal(std: 1))
      let arena = builder.build()
      let leaves = inputs.map { Variable.leaf($0.rows(rows)) }
      let (outputs, statistics) = batchNorm(
        leaves.map(\.0), weight: weight, bias: bias, rectified: true, over: ranks)
      XCTAssertEqual(statistics.map(\.count), [batch, batch])
      // One scalar, so that one backward pass meets both views: sum of y * dy.
      let sums = zip(outputs, gradients).map { y, dy in
        record(y.value, from: [y], as: .other) { _ in [dy.rows(rows)] }
      }
      concatenateRows(sums).backward(gradient: Tensor(zeros: [2 * rows.count, width]))
      return (outputs.map(\.value), try leaves.map { try XCTUnwrap($0.gradient()) }, arena)
    }
    let whole = try run(0..<batch, over: .local)
    for counts in blocks(batch, communicator.size) {
      let rows = range(counts, communicator.rank)
      let part = try run(rows, over: RankSum(over: communicator))
      for view in 0..<2 {
        expectClose(part.outputs[view].array, whole.outputs[view].rows(rows).array, relative: 1e-6, absolute: 1e-6)
        expectClose(part.1[view].array, whole.1[view].rows(rows).array, relative: 1e-5, absolute: 1e-6)
      }
      try communicator.allReduceSum(part.2.gradients.pointer, part.2.trainableCount)
      expectClose(part.2.gradients.array, whole.2.gradients.array, relative: 1e-5, absolute: 1e-6)
      XCTAssertGreaterThan(whole.2.gradients.array.map(abs).max() ?? 0, 0.1)
    }
  }

  // MARK: the head with its loss

  private struct Outcome {
    var loss = 0.0
    var predictions: [Tensor] = []
    var inputGradients: [Tensor] = []
    var gradients: [Float] = []
    var buffers: [[Float]] = []
  }

  private let widths = (input: 12, hidden: 24, output: 8, predictor: 20)

  /// One step of the whole head as a trainer takes it: the rank's loss weighs local over global batch.
  private func step(_ batch: Int, _ counts: [Int], _ rank: Int, over communicator: Communicator?) throws -> Outcome {
    let rows = range(counts, rank)
    let builder = ModelBuilder(seed: 9)
    let projector = Projector(from: widths.input, hidden: widths.hidden, to: widths.output, builder)
    let predictor = Predictor(from: widths.output, hidden: widths.predictor, to: widths.output, builder)
    let arena = builder.build()
    let sum = communicator.map { RankSum(over: $0) } ?? .local
    let inputs = (0..<2).map { Variable.leaf(values([batch, widths.input], seed: 11 + $0).rows(rows)) }
    let predictions = predictor(projector(inputs.map(\.0), over: sum), over: sum).map(l2Normalize)
    let own = predictions.map(\.value)
    let gathered = try communicator?.gatherRows(own, counts: counts) ?? own
    let weight = Float(rows.count) / Float(batch)
    let loss = nnclrLoss(
      own: (predictions[0], predictions[1]), first: rows.lowerBound, predictions: (gathered[0], gathered[1]),
      neighbours: (unitRows(batch, widths.output, seed: 21), unitRows(batch, widths.output, seed: 22)),
      temperature: 0.15, gradientScale: Float(batch) / Float(rows.count))
    let buckets = communicator.map { GradientBuckets(arena: arena, communicator: $0, bucketBytes: 2000) }
    buckets?.arm()
    loss.backward(seed: weight)
    _ = try buckets?.finish()
    let total = try communicator?.allReduceSum([Double(loss.value.item * weight)])[0] ?? Double(loss.value.item)
    projector.settle()
    predictor.settle()
    let states = projector.buffers("") + predictor.buffers("")
    return Outcome(
      loss: total, predictions: gathered, inputGradients: try inputs.map { try XCTUnwrap($0.gradient()) },
      gradients: arena.gradients.array,
      buffers: states.compactMap { if case .floats(let tensor) = $0.payload { tensor.array } else { nil } })
  }

  func testInvariant10HeadAndLossDoNotDependOnTheRanks() throws {
    let communicator = try World.start().communicator
    for batch in [13, 24] {
      let whole = try step(batch, [batch], 0, over: nil)
      // The trainer gives every rank an image at least.
      for counts in blocks(batch, communicator.size) where !counts.contains(0) {
        let rows = range(counts, communicator.rank)
        let part = try step(batch, counts, communicator.rank, over: communicator)
        XCTAssertEqual(part.loss, whole.loss, accuracy: 1e-6 * whole.loss)
        XCTAssertLessThan(relativeError(part.gradients, whole.gradients), 1e-5)
        for view in 0..<2 {
          expectClose(part.predictions[view].array, whole.predictions[view].array, relative: 1e-5, absolute: 1e-6)
          let expected = whole.inputGradients[view].rows(rows).array
          XCTAssertLessThan(relativeError(part.inputGradients[view].array, expected), 1e-5)
        }
        for (found, expected) in zip(part.buffers, whole.buffers) {
          expectClose(found, expected, relative: 1e-6, absolute: 1e-7)
        }
        let bytes = part.gradients.withUnsafeBytes { Array($0) }
        XCTAssertEqual(Set(try communicator.allGather(bytes)).count, 1, "all ranks have the same bits")
      }
    }
  }

  /// The long way of the official code: each rank's loss is that of its own rows against all columns, predictions are
  /// gathered with gradient, so gradient stacks are summed over ranks and each rank keeps its slice.
  func testTheCheapGradientIsThatOfTheLongWay() throws {
    let communicator = try World.start().communicator
    let (batch, width) = (13, 8)
    let predictions = [unitRows(batch, width, seed: 1), unitRows(batch, width, seed: 2)]
    let neighbours = [unitRows(batch, width, seed: 3), unitRows(batch, width, seed: 4)]
    for counts in blocks(batch, communicator.size) where !counts.contains(0) {
      let rows = range(counts, communicator.rank)
      let weight = Float(rows.count) / Float(batch)
      // This rank's rows of both directions, over all columns.
      let leaves = predictions.map { Variable.leaf($0) }
      let labels = CrossEntropyTargets.labels(rows.map { Int32($0) })
      let losses = [0, 1].map { view in
        // S = N Pᵀ / 0.15 with the gradient to P: the product of P with constant N, transposed.
        crossEntropy(logits: logits(neighbours[view].rows(rows), leaves[1 - view].0), targets: labels)
      }
      let local = scale(add(losses[0], losses[1]), by: 0.5)
      local.backward(seed: weight)
      let stacks = try leaves.map { try XCTUnwrap($0.gradient()).copy() }
      for stack in stacks { try communicator.allReduceSum(stack.pointer, stack.count) }
      let total = try communicator.allReduceSum([Double(local.value.item * weight)])[0]

      let own = predictions.map { Variable.leaf($0.rows(rows)) }
      let loss = nnclrLoss(
        own: (own[0].0, own[1].0), first: rows.lowerBound, predictions: (predictions[0], predictions[1]),
        neighbours: (neighbours[0], neighbours[1]), temperature: 0.15,
        gradientScale: Float(batch) / Float(rows.count))
      loss.backward(seed: weight)
      XCTAssertEqual(Double(loss.value.item), total, accuracy: 1e-6 * total)
      for view in 0..<2 {
        let found = try XCTUnwrap(own[view].gradient()).array
        XCTAssertLessThan(relativeError(found, stacks[view].rows(rows).array), 1e-5)
        if communicator.size > 1 {
          let alone = try XCTUnwrap(leaves[view].gradient()).rows(rows).array
          XCTAssertGreaterThan(
            relativeError(alone, found), 0.01, "without the other ranks' rows it is another gradient")
        }
      }
    }
  }

  /// x Pᵀ / 0.15, x constant, with the gradient to P.
  private func logits(_ x: Tensor, _ p: Variable) -> Variable {
    let y = Tensor(uninitialized: [x.shape[0], p.shape[0]])
    Matmul.forward(x, p.value, into: y)
    return scale(
      record(y, from: [p], as: .linear) { dy in
        let dp = Tensor(uninitialized: [dy.shape[1], x.shape[1]])
        Matmul.weightGradient(dy, x, into: dp, accumulate: false)
        return [dp]
      }, by: 1 / 0.15)
  }

  /// The part of the loss that this rank's rows make, moved by a prediction of the next rank.
  func testInvariant09FiniteDifferencesOnAnotherRank() throws {
    let communicator = try World.start().communicator
    let (batch, width) = (12, 4)
    let counts = (0..<communicator.size).map { blockRange(count: batch, part: $0, of: communicator.size).count }
    let rows = range(counts, communicator.rank)
    let predictions = [unitRows(batch, width, seed: 1), unitRows(batch, width, seed: 2)]
    let neighbours = [unitRows(batch, width, seed: 3), unitRows(batch, width, seed: 4)]
    /// This rank's part of the global mean, in double.
    func part() -> Double {
      var sum = 0.0
      for view in 0..<2 {
        let (n, p) = (neighbours[view].array, predictions[1 - view].array)
        for i in rows {
          let row = (0..<batch).map { j in
            (0..<width).reduce(0.0) { $0 + Double(n[i * width + $1]) * Double(p[j * width + $1]) } / 0.15
          }
          sum += log(row.reduce(0) { $0 + exp($1) }) - row[i]
        }
      }
      return sum / Double(2 * batch)
    }
    let own = predictions.map { Variable.leaf($0.rows(rows)) }
    nnclrLoss(
      own: (own[0].0, own[1].0), first: rows.lowerBound, predictions: (predictions[0], predictions[1]),
      neighbours: (neighbours[0], neighbours[1]), temperature: 0.15, gradientScale: Float(batch) / Float(rows.count)
    ).backward(seed: Float(rows.count) / Float(batch))
    for view in 0..<2 {
      let gradient = try communicator.gatherRows([try XCTUnwrap(own[view].gradient())], counts: counts)[0].array
      var slopes: [Double] = []
      for i in 0..<batch * width {
        let place = predictions[view].pointer + i
        let kept = place.pointee
        place.pointee = kept + 1e-2
        let (above, high) = (part(), Double(place.pointee))
        place.pointee = kept - 1e-2
        let (below, low) = (part(), Double(place.pointee))
        place.pointee = kept
        slopes.append((above - below) / (high - low))
      }
      let next = range(counts, (communicator.rank + 1) % communicator.size)
      XCTAssertGreaterThan(
        slopes[next.lowerBound * width..<next.upperBound * width].map(abs).max() ?? 0, 1e-3,
        "predictions of the next rank move this rank's loss")
      let total = try communicator.allReduceSum(slopes)
      XCTAssertLessThan(relativeError(gradient, total.map { Float($0) }), 1e-3)
    }
  }
}
