import Autodiff
import Basics
import Layers
import Messaging
import Methods
import Optimizers
import Parallelism
import Pipeline
import TestKit
import Tensors

/// A few optimiser steps of a tiny method over the ranks of the test's world, as the trainer makes them.
final class TinyTraining {
  let run: TinyRun
  let globalBatch: Int
  let communicator: Communicator
  let optimizer: AdamW
  private let buckets: GradientBuckets
  private(set) var steps = 0

  /// - Collective: all ranks.
  init(_ run: TinyRun, globalBatch: Int) throws {
    self.run = run
    self.globalBatch = globalBatch
    communicator = run.context.communicator
    try run.method.open()
    optimizer = AdamW(
      arena: run.arena, groups: run.method.parameterGroups(run.arena), betas: run.context.settings.optim.betas,
      eps: run.context.settings.optim.eps)
    buckets = GradientBuckets(arena: run.arena, communicator: communicator)
  }

  /// One step over the images `images` of all ranks; the loss is the global mean.
  ///
  /// - Parameter look: sees the summed gradients before the update.
  /// - Collective: all ranks.
  func step(_ images: [Int], rate: Double, draws: DrawRecorder? = nil, look: () -> Void = {}) throws -> Double {
    let block = blockRange(count: globalBatch, part: communicator.rank, of: communicator.size)
    let batch = run.batch(Array(images[block]), globalBatch: globalBatch)
    let step = run.step(steps, draws)
    run.arena.zeroGradients()
    try run.method.beforeForward(step)
    let report = try run.method.loss(batch, at: step)
    let weight = Double(batch.count) / Double(globalBatch)
    buckets.arm()
    report.total.backward(seed: Float(weight))
    _ = try buckets.finish()
    look()
    optimizer.update(UpdateContext(rate: rate, weightDecay: run.context.settings.optim.weightDecay))
    try run.method.afterUpdate(step)
    steps += 1
    return try communicator.allReduceSum([weight * Double(report.total.value.item)])[0]
  }

  /// What every rank drew, joined in the order of the global batch.
  ///
  /// - Collective: all ranks.
  func gathered(_ name: String, _ draws: DrawRecorder) throws -> [Int] {
    guard let entry = draws.entries.first(where: { $0.name == name }), case .ints(let own) = entry.values else {
      throw Failure(.internalError, "\(name) was not drawn")
    }
    let parts = try communicator.allGather(own.withUnsafeBytes { Array($0) })
    return parts.flatMap { part in part.withUnsafeBytes { $0.bindMemory(to: Int32.self).map(Int.init) } }
  }
}
