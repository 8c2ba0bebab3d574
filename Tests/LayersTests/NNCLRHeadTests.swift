import Autodiff
import Basics
import Layers
import TestKit
import Tensors
import XCTest

/// Projector and predictor, and with the loss the whole head, against PyTorch.
final class NNCLRHeadTests: XCTestCase {
  private let golden = Golden.load("nnclr")

  /// The golden's head with its first values.
  private func start() -> (projector: Projector, predictor: Predictor, arena: ParameterArena) {
    let builder = ModelBuilder(seed: 0)
    let projector = Projector(from: 10, hidden: 16, to: 8, builder)
    let predictor = Predictor(from: 8, hidden: 20, to: 8, builder)
    let arena = builder.build()
    for parameter in arena.parameters { parameter.value.assign(tensor("start/\(parameter.name)")) }
    return (projector, predictor, arena)
  }

  private func tensor(_ key: String) -> Tensor { Tensor(golden.floats(key), Shape(golden.shape(key))) }

  private func expectGolden(_ found: [Float], _ key: String, line: UInt = #line) {
    let error = relativeError(found, golden.floats(key))
    XCTAssertLessThan(error, 1e-5, key, line: line)
  }

  func testTwoStepsEqualPyTorch() throws {
    let (projector, predictor, arena) = start()
    let (temperature, rate) = (Float(golden.number("temperature")), Float(golden.number("rate")))
    for step in 0..<2 {
      arena.zeroGradients()
      let inputs = (0..<2).map { Variable.leaf(tensor("\(step)/input/\($0)")) }
      let embeddings = projector(inputs.map(\.0), over: .local)
      let predictions = predictor(embeddings, over: .local).map(l2Normalize)
      projector.settle()
      predictor.settle()
      let loss = nnclrLoss(
        own: (predictions[0], predictions[1]), first: 0, predictions: (predictions[0].value, predictions[1].value),
        neighbours: (tensor("\(step)/neighbours/0"), tensor("\(step)/neighbours/1")), temperature: temperature,
        gradientScale: 1)
      loss.backward()
      let expected = golden.number("\(step)/loss")
      XCTAssertEqual(Double(loss.value.item), expected, accuracy: 1e-6 * expected)
      for view in 0..<2 {
        expectGolden(embeddings[view].value.array, "\(step)/embedding/\(view)")
        expectGolden(predictions[view].value.array, "\(step)/prediction/\(view)")
        expectGolden(try XCTUnwrap(inputs[view].gradient()).array, "\(step)/input_gradient/\(view)")
      }
      for parameter in arena.parameters {
        let (found, key) = (parameter.gradient.array, "\(step)/gradient/\(parameter.name)")
        if parameter.name == "projector.bn3.bias" {
          // The predictor's BatchNorm takes every shift out again: PyTorch and we sum rounding errors.
          XCTAssertLessThan(golden.floats(key).map(abs).max() ?? 1, 1e-15)
          XCTAssertLessThan(found.map(abs).max() ?? 1, 1e-7)
        } else {
          expectGolden(found, key)
        }
      }
      for state in projector.buffers("b") + predictor.buffers("b") {
        let key = "\(step)/buffer/\(state.name.dropFirst(2))"
        switch state.payload {
        case .floats(let values): expectGolden(values.array, key)
        case .integers(let counts): XCTAssertEqual(Float(counts[0]), golden.floats(key)[0])
        case .global: XCTFail("\(key) is whole on every rank")
        }
      }
      for i in 0..<arena.count { arena.weights.pointer[i] -= rate * arena.gradients.pointer[i] }
    }
    let evaluated = predictor.evaluated(projector.evaluated(Variable(constant: tensor("1/input/0")))).value.array
    expectGolden(evaluated, "evaluated")
    XCTAssertGreaterThan(
      relativeError(evaluated.map { $0 * 1.0001 }, golden.floats("evaluated")), 1e-5, "the comparison can fail")
  }

  /// The names are those of the golden, which the official code shares.
  func testNamesOfParametersAndBuffers() {
    let (projector, predictor, arena) = start()
    let names = golden.keys.filter { $0.hasPrefix("start/") }.map { String($0.dropFirst("start/".count)) }
    XCTAssertEqual(arena.parameters.map(\.name), names)
    let buffers = golden.keys.filter { $0.hasPrefix("0/buffer/") }.map { "method/\($0.dropFirst("0/buffer/".count))" }
    XCTAssertEqual((projector.buffers("method") + predictor.buffers("method")).map(\.name), buffers)
    XCTAssertEqual(buffers.first, "method/projector.bn1.running_mean")
    XCTAssertTrue(names.allSatisfy { !$0.contains("fc") || $0.hasSuffix(".weight") }, "no linear layer has a bias")
  }

  func testParameterCounts() {
    for (width, expected) in [
      (192, 7_225_856), (384, 7_619_072), (768, 8_405_504), (1024, 8_929_792), (1280, 9_454_080),
    ] {
      let builder = ModelBuilder(seed: 0)
      let projector = Projector(from: width, builder)
      let split = builder.parameterCount
      let predictor = Predictor(builder)
      XCTAssertEqual(builder.parameterCount, expected)
      XCTAssertEqual(builder.parameterCount - split, 2_105_344)
      // Multiply-accumulates are the weights of the linear layers: all parameters but two for each normalised column.
      XCTAssertEqual(projector.cost.layers + predictor.cost.layers, Double(expected - 2 * (2 * 2048 + 256 + 4096)))
    }
  }

  /// A random head and a random queue at the paper's sizes know nothing yet; whichever view comes first.
  func testInvariant05And6ARandomHeadHasTheLogarithmOfTheBatch() {
    let batch = 64
    let builder = ModelBuilder(seed: 3)
    let (projector, predictor) = (Projector(from: 192, builder), Predictor(builder))
    _ = builder.build()
    let views = (0..<2).map { Variable(constant: Tensor(ExactRandom.floats(batch * 192, seed: $0), [batch, 192])) }
    let queue = l2Normalize(Variable(constant: Tensor(ExactRandom.floats(2048 * 256, seed: 2), [2048, 256])))
    func nearest(_ z: Tensor) -> Tensor {
      let similarities = product(Variable(constant: z), constant: queue.value).value.array
      let rows = (0..<batch).map { i in
        (0..<2048).max { similarities[i * 2048 + $0] < similarities[i * 2048 + $1] } ?? 0
      }
      return Tensor(rows.flatMap { queue.value.rows($0..<$0 + 1).array }, [batch, 256])
    }
    func loss(_ views: [Variable]) -> Float {
      let embeddings = projector(views, over: .local)
      let predictions = predictor(embeddings, over: .local).map(l2Normalize)
      let neighbours = embeddings.map { nearest(l2Normalize($0).value) }
      return nnclrLoss(
        own: (predictions[0], predictions[1]), first: 0, predictions: (predictions[0].value, predictions[1].value),
        neighbours: (neighbours[0], neighbours[1]), temperature: 0.15, gradientScale: 1
      ).value.item
    }
    let found = withoutGradient { loss(views) }
    let expected = logf(Float(batch))
    XCTAssertGreaterThan(found, expected - 0.05)
    XCTAssertLessThan(found, expected + 0.15)
    XCTAssertEqual(withoutGradient { loss([views[1], views[0]]) }, found)
  }

  func testInitialValues() throws {
    let builder = ModelBuilder(seed: 1)
    _ = Projector(from: 64, hidden: 100, to: 25, builder)
    let arena = builder.build()
    for (name, inputs) in [("projector.fc1.weight", 64.0), ("projector.fc3.weight", 100)] {
      let values = try XCTUnwrap(arena[name]).value.array.map(Double.init)
      let bound = 1 / inputs.squareRoot()
      XCTAssertTrue(values.allSatisfy { abs($0) <= bound }, name)
      XCTAssertGreaterThan(values.max() ?? 0, 0.95 * bound, name)
      let square = values.reduce(0) { $0 + $1 * $1 } / Double(values.count)
      XCTAssertEqual(square, bound * bound / 3, accuracy: 0.1 * bound * bound / 3, name)
    }
    XCTAssertEqual(arena["projector.bn3.weight"]?.value.array, [Float](repeating: 1, count: 25))
    XCTAssertEqual(arena["projector.bn3.bias"]?.value.array, [Float](repeating: 0, count: 25))
  }

  func testRunningStatisticsFollowOnlyWhenTracked() {
    let (projector, _, _) = start()
    func values() -> [[Float]] {
      projector.buffers("").compactMap { if case .floats(let tensor) = $0.payload { tensor.array } else { nil } }
    }
    func counts() -> [Int64] {
      projector.buffers("").compactMap { if case .integers(let block) = $0.payload { block[0] } else { nil } }
    }
    let fresh = values()
    XCTAssertEqual(fresh[0], [Float](repeating: 0, count: 16))
    XCTAssertEqual(fresh[1], [Float](repeating: 1, count: 16))
    let views = (0..<2).map { Variable(constant: tensor("0/input/\($0)")) }
    let output = projector(views, over: .local, tracks: false).map(\.value.array)
    projector.settle()
    XCTAssertEqual(values(), fresh)
    XCTAssertEqual(counts(), [0, 0, 0])
    XCTAssertEqual(projector(views, over: .local).map(\.value.array), output)
    XCTAssertEqual(counts(), [0, 0, 0], "a step that fails leaves no trace")
    projector.settle()
    XCTAssertEqual(counts(), [2, 2, 2], "one update for each view")
    XCTAssertNotEqual(values(), fresh)
  }

  func testCopiedBuffersAreCopiesNotReferences() {
    let (first, second) = (start(), start())
    let view = Variable(constant: tensor("0/input/0"))
    _ = first.predictor(first.projector([view], over: .local), over: .local)
    first.projector.settle()
    first.predictor.settle()
    let before = second.projector.evaluated(view).value.array
    second.projector.copyBuffers(from: first.projector)
    second.predictor.copyBuffers(from: first.predictor)
    let output = first.predictor.evaluated(first.projector.evaluated(view)).value.array
    XCTAssertEqual(second.predictor.evaluated(second.projector.evaluated(view)).value.array, output)
    XCTAssertNotEqual(second.projector.evaluated(view).value.array, before)
    _ = first.projector([view], over: .local)
    first.projector.settle()
    XCTAssertNotEqual(
      first.projector.evaluated(view).value.array, second.projector.evaluated(view).value.array,
      "the copy stays behind")
    guard case .integers(let counts) = second.projector.buffers("")[2].payload else { return XCTFail("a counter") }
    XCTAssertEqual(counts[0], 1)
  }

  func testAFrozenHeadTakesNoGradientsButItsBatchsStatistics() {
    let builder = ModelBuilder(seed: 0)
    builder.freezes = { _ in true }
    let projector = Projector(from: 10, hidden: 16, to: 8, builder)
    let arena = builder.build()
    for parameter in arena.parameters { parameter.value.assign(tensor("start/\(parameter.name)")) }
    XCTAssertEqual(arena.gradients.count, 0)
    let output = projector([Variable(constant: tensor("0/input/0"))], over: .local)[0]
    XCTAssertFalse(output.needsGradient)
    expectGolden(output.value.array, "0/embedding/0")
  }
}
