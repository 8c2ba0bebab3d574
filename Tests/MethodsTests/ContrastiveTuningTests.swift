import Autodiff
import Basics
import Layers
import Messaging
import Methods
import TestKit
import Tensors
import XCTest

/// Head initialisation and tuning against their plain transcription, on the ranks of the test's world.
///
/// Collective: all ranks run the same tests in the same order.
final class ContrastiveTuningTests: XCTestCase {
  private static let batch = 10
  private static let sizes = """
    nnclr: {queue_size: 24, top_k: 3, proj_hidden: 10, pred_hidden: 12, out_dim: 6}
    augment: {views: 2}
    """
  /// As `Sizes` of the transcription say it.
  private static let tune = """
    \(sizes)
    optim: {layer_decay: 0.65, eps: 1.0e-5, weight_decay: 0.05, base_lr: 1, head: {base_lr: 5, weight_decay: 0.001}}
    """

  private func tuned(_ stage: String = "tune", _ settings: String = ContrastiveTuningTests.tune) throws -> TinyRun {
    try TinyRun("mae-ct", stage: stage, settings, batch: Self.batch)
  }

  /// How a parameter is updated: its learning rate over the run's (nil: never), and its weight decay.
  private func rule(_ parameter: Parameter, depth: Int, firstTrained: Int) -> (scale: Double?, decay: Double) {
    let name = parameter.name
    let decays = parameter.shape.rank > 1 && !name.hasSuffix(".bias")
    if name == "projector.bn3.bias" || name == "norm.bias" { return (nil, 0) }  // BatchNorm takes out every shift
    if name.hasPrefix("projector.") || name.hasPrefix("predictor.") { return (5, decays ? 0.001 : 0) }
    if name.hasPrefix("norm."), firstTrained < depth { return (1, decays ? 0.05 : 0) }
    guard name.hasPrefix("blocks."), let index = Int(name.split(separator: ".")[1]), index >= firstTrained else {
      return (nil, 0)
    }
    return (pow(0.65, Double(depth - index)), decays ? 0.05 : 0)
  }

  /// The transcription in the state that the program is in, moments of the optimiser excepted.
  ///
  /// - Collective: all ranks.
  private func plain(_ training: TinyTraining, _ sizes: PlainContrast.Sizes, firstTrained: Int) throws -> PlainContrast
  {
    let arena = training.run.arena
    var weights: [String: PlainContrast.Weight] = [:]
    for parameter in arena.parameters {
      let rule = rule(parameter, depth: training.run.context.vit.depth, firstTrained: firstTrained)
      let values = parameter.value.array.map(Double.init)
      let rows = parameter.shape.rank == 1 || parameter.name == "cls_token" ? 1 : parameter.shape[0]
      weights[parameter.name] = PlainContrast.Weight(
        values: values, rows: rows, columns: values.count / rows, m: values.map { _ in 0 }, v: values.map { _ in 0 },
        rateScale: rule.scale, decay: rule.decay)
    }
    var queue: [[Double]] = []
    var ids: [Int] = []
    if sizes.findsNeighbours {
      let vectors = try state("queue/vectors", training)
      queue = stride(from: 0, to: vectors.count, by: 6).map { Array(vectors[$0..<$0 + 6]) }
      ids = try state("queue/ids", training).map { Int($0) }
    }
    var plain = PlainContrast(sizes, weights: weights, queue: queue, ids: ids)
    plain.pointer = sizes.findsNeighbours ? Int(try state("queue/counters", training)[0]) : 0
    for name in plain.running.keys { plain.running[name] = try state("buffers/\(name)", training) }
    if sizes.targetMomentum != nil {
      for name in plain.target.keys { plain.target[name] = try state("target/\(name)", training) }
    }
    return plain
  }

  /// The numbers of a state, whoever holds them.
  ///
  /// - Collective: all ranks.
  private func state(_ name: String, _ training: TinyTraining) throws -> [Double] {
    let found = try XCTUnwrap(training.run.method.state.first { $0.name == name }, name)
    switch found.payload {
    case .floats(let tensor): return tensor.array.map(Double.init)
    case .integers(let block): return (0..<block.count).map { Double(block[$0]) }
    case .global(let rows):
      var bytes = [UInt8](repeating: 0, count: rows.count * rows.rowBytes)
      let everything = [Range<Int>](repeating: 0..<rows.count, count: training.communicator.size)
      return try bytes.withUnsafeMutableBytes { raw in
        guard let base = raw.baseAddress else { return [] }
        try rows.collect(everything, into: base)
        switch rows.element {
        case .float32: return raw.bindMemory(to: Float.self).map(Double.init)
        case .int64: return raw.bindMemory(to: Int64.self).map(Double.init)
        }
      }
    }
  }

  /// Ten steps of both. Before every step the transcription is put where the program is: loss, slots and gradients must
  /// agree. A second one goes its own way from the start: weights, averages, statistics and queue must agree at the end.
  ///
  /// - Collective: all ranks.
  private func follow(_ run: TinyRun, _ sizes: PlainContrast.Sizes, firstTrained: Int, rate: Double = 1e-3) throws {
    let training = try TinyTraining(run, globalBatch: Self.batch)
    var free = try plain(training, sizes, firstTrained: firstTrained)
    let start = run.arena.weights.array
    var losses: (program: [Float], plain: [Float]) = ([], [])
    for step in 0..<10 {
      var beside = try plain(training, sizes, firstTrained: firstTrained)
      let images = (0..<Self.batch).map { ($0 * 5 + step * 3) % 17 }
      let draws = DrawRecorder()
      var gradients: [String: [Float]] = [:]
      let loss = try training.step(images, rate: rate, draws: draws) {
        for parameter in run.arena.trainable { gradients[parameter.name] = parameter.gradient.array }
      }
      let picks = try [0, 1].map { sizes.findsNeighbours ? try training.gathered("nn_pick/\($0)", draws) : [] }
      let views = [0, 1].map { view in images.map { run.pixels(of: $0, view: view).map(Double.init) } }
      let expected = beside.step(views, images: images, picks: picks, rate: rate)
      _ = free.step(views, images: images, picks: picks, rate: rate)
      losses.program.append(Float(loss))
      losses.plain.append(Float(expected.loss))
      for view in expected.slots.indices {
        XCTAssertEqual(try training.gathered("nn_slot/\(view)", draws), expected.slots[view], "step \(step)")
      }
      XCTAssertEqual(Set(gradients.keys), Set(expected.gradients.keys))
      let all = gradients.keys.sorted()
      let error = relativeError(
        all.flatMap { gradients[$0] ?? [] }, all.flatMap { (expected.gradients[$0] ?? []).map(Float.init) })
      XCTAssertLessThan(error, 1e-4, "gradients of step \(step)")
    }
    // Over all steps at once: rounding alone moves a loss by 4e-7 in the mean, and one in fifty by 1e-6.
    XCTAssertLessThan(relativeError(losses.program, losses.plain), 1e-6, "losses")
    let end = run.arena.parameters.flatMap { $0.value.array }
    let expected = run.arena.parameters.flatMap { (free.weights[$0.name]?.values ?? []).map(Float.init) }
    XCTAssertLessThan(relativeError(end, expected), 1e-4, "weights after ten steps")
    XCTAssertGreaterThan(relativeError(run.arena.weights.array, start), 1e-3, "ten steps go somewhere")
    try compareState(free, training)
  }

  private func compareState(_ plain: PlainContrast, _ training: TinyTraining) throws {
    func compare(_ names: some Sequence<(key: String, value: [Double])>, _ prefix: String) throws {
      let pairs = try names.map { (try state("\(prefix)/\($0.key)", training), $0.value) }
      let error = relativeError(
        pairs.flatMap { $0.0.map(Float.init) }, pairs.flatMap { $0.1.map(Float.init) })
      XCTAssertLessThan(error, 1e-4, prefix)
    }
    try compare(plain.running, "buffers")
    if plain.sizes.targetMomentum != nil { try compare(plain.target, "target") }
    if plain.sizes.encoderMomentum != nil { try compare(plain.average, "ema") }
    guard plain.sizes.findsNeighbours else { return }
    XCTAssertEqual(try state("queue/ids", training).map { Int($0) }, plain.ids)
    XCTAssertLessThan(
      relativeError(try state("queue/vectors", training).map(Float.init), plain.queue.flatMap { $0.map(Float.init) }),
      1e-3, "queue")
  }

  /// Also invariants 8 and 11: the queue in rank order, two updates of the running statistics a step.
  func testInvariant10TuningEqualsThePlainTranscription() throws {
    var sizes = PlainContrast.Sizes()
    (sizes.targetMomentum, sizes.encoderMomentum, sizes.eps) = (0.99, 0.9999, 1e-5)
    for placement in ["replicated", "node", "global"] {
      let run = try tuned("tune", "\(Self.tune)\nqueue: {placement: \(placement)}")
      try follow(run, sizes, firstTrained: 1)
    }
  }

  func testInvariant10HeadInitialisationEqualsThePlainTranscription() throws {
    var sizes = PlainContrast.Sizes()
    (sizes.targetMomentum, sizes.encoderMomentum, sizes.eps, sizes.k) = (nil, nil, 1e-5, 1)
    let settings = Self.tune.replacing("top_k: 3, ", with: "").replacing("layer_decay: 0.65, ", with: "")
    try follow(try tuned("head", settings), sizes, firstTrained: 2)
  }

  func testTuningWithoutLookupOnTheClassTokenEqualsThePlainTranscription() throws {
    var sizes = PlainContrast.Sizes()
    (sizes.targetMomentum, sizes.encoderMomentum, sizes.eps) = (0.99, nil, 1e-5)
    (sizes.findsNeighbours, sizes.poolsClassToken) = (false, true)
    let settings = Self.tune.replacing("top_k: 3", with: "top_k: 3, lookup: false, pool: cls")
    let run = try tuned(
      "tune", "\(settings)\nema: {encoder: null}\nstages: [{name: tune, from: null, freeze: lower_half}]")
    // BatchNorm over class tokens that lie close together loses digits: with weights as they are drawn, which let a class
    // token see little of its image, losses differ by up to 1.6e-6 in single precision. So let it see more.
    for parameter in run.arena.parameters where parameter.name.contains(".attn.") && parameter.shape.rank == 2 {
      for i in 0..<parameter.value.count { parameter.value.pointer[i] *= 4 }
    }
    try follow(run, sizes, firstTrained: 1)
  }
}
