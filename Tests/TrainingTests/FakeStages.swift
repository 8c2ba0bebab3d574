import Autodiff
import Basics
import Checkpoints
import Foundation
import Layers
import Messaging
import Methods
import Pipeline
import Settings
import TestKit
import Tensors
import XCTest

@testable import Training

/// A stage like those after the first: an encoder that is taken over, a head of its own, a counter of its updates.
///
/// The stage `head` freezes the encoder, others train everything.
final class FakeHead: Method {
  static let name = "fake-head"
  /// What methods of this type were told, in order.
  nonisolated(unsafe) static var history: [String] = []
  /// The one that trains, as long as anybody holds it.
  nonisolated(unsafe) static weak var trained: FakeHead?

  let couplesBatch = true
  let views: ViewPlan
  private let stage: String
  private let encoder: ViT
  private let head: Linear
  private let counter = IntegerBlock(repeating: 0, count: 1)
  private var arena: ParameterArena?

  init(_ context: MethodContext) throws {
    stage = context.stage
    let outputs = try context.section("fake-ct").int("outputs", default: 4, in: 1...64, "width of the head")
    views = ViewPlan(views: [ViewSpec(size: context.vit.imgSize, cropScale: 0.5...1)])
    encoder = ViT(context.vit, context.builder)
    head = Linear("fake_head", from: context.vit.width, to: outputs, context.builder)
  }

  func attach(to arena: ParameterArena) throws {
    self.arena = arena
    if stage == "head" { for parameter in ofEncoder(arena) { parameter.isFrozen = true } }
    FakeHead.history.append("\(stage) attached" + (FakeHead.trained == nil ? "" : " beside another"))
    FakeHead.trained = self
  }

  func open() throws { FakeHead.history.append("\(stage) opened") }

  func loss(_ batch: Batch, at step: StepContext) throws -> LossReport {
    let output = head(meanTokens(encoder(batch.views[0]), skipping: 1))  // [b, d]
    let loss = mean(add(output, scale(l2Normalize(output), by: 0.5)))
    return LossReport(
      total: loss, parts: [("fake", Double(loss.value.item))],
      observations: [Observation("counted", [Double(counter[0])]), Observation("absent", [])])
  }

  func afterUpdate(_ step: StepContext) throws { counter[0] += 1 }
  var state: [NamedState] { [NamedState("fake/counter", counter)] }

  var heritage: [Heritage] {
    guard let arena else { return [] }
    return [
      Heritage(part: "encoder", parameters: ofEncoder(arena), isRequired: true),
      Heritage(
        part: "head", parameters: arena.parameters.filter { $0.name.hasPrefix("fake_head") }, state: state,
        isRequired: false),
    ]
  }

  func didInherit(_ parts: [String]) {
    FakeHead.history.append("\(stage) inherited \(parts.joined(separator: "+")) at \(counter[0])")
  }

  func warnings(images: Int) -> [String] { ["\(images) images are few"] }
  func encode(_ images: Tensor) -> Tensor { encoder.features(images, pool: .meanPatch) }
  func headFeatures(_ images: Tensor) -> Tensor? {
    withoutGradient { head(meanTokens(encoder(images), skipping: 1)).value }
  }
  var flopsPerImage: Double { 1 }

  private func ofEncoder(_ arena: ParameterArena) -> [Parameter] {
    arena.parameters.filter { !$0.name.hasPrefix("fake_head") }
  }
}

/// Runs of `fake-ct`, whose stages are mae, head and tune, in a directory of their own and in this process.
final class StagedRun {
  static var methods: [MethodRegistry.Entry] {
    guard let mae = MethodRegistry.all.first(where: { $0.name == "mae" })?.types.first else {
      preconditionFailure("no method mae")
    }
    return MethodRegistry.all + [
      .init("fake-ct", stages: [("mae", mae), ("head", FakeHead.self), ("tune", FakeHead.self)])
    ]
  }

  /// The same on all ranks.
  let directory: String
  /// What the last run said.
  private(set) var words: [String] = []

  init() throws {
    let world = try World.start().communicator
    directory = try world.broadcast(world.rank == 0 ? temporaryDirectory("staged") + "/run" : "")
  }

  static let settings = [
    "method=fake-ct", "name=staged", "data.train=synth:tinyshapes?n=64&size=16&seed=3",
    "model.arch=vit_tiny_patch16_224", "model.img_size=16", "model.patch=4", "model.width=16", "model.depth=1",
    "model.heads=2", "model.decoder.dim=16", "model.decoder.depth=1", "model.decoder.heads=2", "train.batch_size=8",
    "optim.base_lr=0.02", "optim.warmup=1 steps", "runtime.threads=1", "log.every=1 steps", "eval.every=null",
    "eval.health.every=2 steps", "log.images.every=null", "checkpoint.every=2 steps", "checkpoint.keep_last=10",
    "stages.mae.max_steps=4", "stages.head.max_steps=5", "stages.tune.max_steps=3",
  ]

  /// Trains; the changes are to options that only name directory and settings.
  func train(_ overrides: [String] = [], _ change: (inout LaunchOptions) -> Void = { _ in }) throws -> ExitCode {
    var options = LaunchOptions(overrides: StagedRun.settings + overrides, out: directory, quiet: true)
    change(&options)
    words = []
    FakeHead.history = []
    return try PretrainSession.run(
      options, World.start(), methods: StagedRun.methods, listener: { self.words.append($0) })
  }

  func said(_ text: String) -> Bool { words.contains { $0.contains(text) } }

  func checkpoint(_ stage: String, _ step: Int) -> String {
    "\(directory)/checkpoints/\(stage)/step-\(String(format: "%08d", step)).h5"
  }

  /// The weights in a checkpoint by name.
  func weights(_ stage: String, _ step: Int) throws -> [String: [Float]] {
    let path = checkpoint(stage, step)
    var found: [String: [Float]] = [:]
    for dataset in try CheckpointReader.list(path) where dataset.name.hasPrefix("student/") {
      let tensor = Tensor(zeros: Shape(dataset.shape))
      _ = try CheckpointReader.load(
        into: [NamedTensor(name: dataset.name, shape: dataset.shape, payload: .float32(tensor.pointer))], from: path,
        communicator: World.start().communicator, allowUnexpected: true)
      found[dataset.name] = tensor.array
    }
    return found
  }

  /// The lines of the metrics.
  func metrics() throws -> [JSON] {
    try String(contentsOfFile: directory + "/metrics.jsonl", encoding: .utf8).split(separator: "\n").map {
      try JSON.parse(String($0))
    }
  }

  /// Stage and step of every training line.
  func steps() throws -> [String] {
    try metrics().filter { $0["kind"] == .string("train") }.map {
      "\($0["stage"]?.stringValue ?? "?") \($0["step"]?.intValue ?? -1)"
    }
  }

  func status() throws -> JSON { try JSON.parse(String(contentsOfFile: directory + "/status.json", encoding: .utf8)) }

  func files(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: "\(directory)/\(folder)").sorted()
  }

  /// Changes one byte in the middle of a file.
  func damage(_ path: String) throws {
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    bytes[bytes.count / 2] ^= 0x10
    try bytes.write(to: URL(fileURLWithPath: path))
  }
}
