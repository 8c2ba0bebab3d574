import Basics
import Foundation
import Messaging
import Settings
import Tensors

/// What a run is, in a few lines, before it begins.
enum RunHeader {
  static func text(_ experiment: Experiment, firstStep: Int) -> String {
    let settings = experiment.settings
    let stage = experiment.stage
    let communicator = experiment.communicator
    let length = experiment.length
    let millions = Double(experiment.arena.parameterCount) / 1e6
    let trained = experiment.arena.parameters.filter { !$0.isFrozen }.reduce(0) { $0 + $1.shape.count }
    let frozen =
      trained == experiment.arena.parameterCount
      ? "" : " (\(String(format: "%.2f", Double(trained) / 1e6)) M trained)"
    let local = (0..<communicator.size).map {
      blockRange(count: length.globalBatch, part: $0, of: communicator.size).count
    }
    let share = Set(local).count == 1 ? "\(local[0])" : "\(local.min() ?? 0) or \(local.max() ?? 0)"
    var lines = [
      "sslmpi \(Versions.program)  \(settings.method)\(stage.isStaged ? " \(stage.title)" : "") · "
        + "\(settings.model.arch) · \(String(format: "%.2f", millions)) M parameters\(frozen)  run \(stage.run)",
      "ranks \(experiment.threads.summary) · \(InstructionSet.chosen.rawValue) · "
        + "products \(experiment.products.summary) · \(World.libraryName)",
      "data  \(experiment.train.address): \(experiment.train.count) images, "
        + "\(experiment.train.classNames.isEmpty ? "no" : "\(experiment.train.classNames.count)") classes · "
        + "batch \(length.globalBatch) = \(communicator.size) ranks × \(share) · "
        + "\(length.stepsPerEpoch) steps an epoch, \(length.totalSteps) steps in all",
      "lr    \(rateEquation(experiment)) · weight decay \(short(settings.optim.weightDecay))\(otherRates(experiment)) · warm-up "
        + "\(experiment.rate.warmup) steps · seed \(settings.seed)",
    ]
    if communicator.size > 1 { lines.append("comm  \(route(experiment))") }
    let warnings =
      [experiment.threads.warning].compactMap { $0 } + experiment.method.warnings(images: experiment.train.count)
    lines += warnings.map { "warning: \($0)" }
    if experiment.length.globalBatch * length.stepsPerEpoch < experiment.train.count {
      let dropped = experiment.train.count - length.globalBatch * length.stepsPerEpoch
      lines.append("note  every epoch leaves out \(dropped) images (the last partial batch), others each time")
    }
    if firstStep > 0 { lines.append("goes on at step \(firstStep)") }
    return lines.joined(separator: "\n")
  }

  private static func route(_ experiment: Experiment) -> String {
    switch experiment.communicator.allReduceRoute {
    case .window:
      "gradients are summed through memory shared by the ranks of a node"
        + (experiment.sharedGradients?.obstacle.map { ", copied there and back (\($0))" } ?? "")
    case .mpi(let reason): "gradients are summed by MPI_Allreduce (\(reason))"
    }
  }

  /// `6.00e-4 = 1.5e-4 × 1024 / 256`.
  private static func rateEquation(_ experiment: Experiment) -> String {
    let optim = experiment.settings.optim
    let peak = short(experiment.rate.peak)
    if optim.lr != nil || optim.lrScaleRule != "linear256" { return peak }
    let views = experiment.method.views.views.count
    return "\(peak) = \(short(optim.baseLR)) × \(experiment.length.globalBatch)"
      + (views > 1 ? " × \(views) views" : "") + " / 256"
  }

  /// ` · layer decay 0.65 · head 0.004, weight decay 1e-05`: what learns by another rule.
  private static func otherRates(_ experiment: Experiment) -> String {
    let settings = experiment.settings
    let layers = settings.optim.layerDecay.map { " · layer decay \(short($0))" } ?? ""
    guard settings.optim.head.baseLR != nil || settings.optim.head.weightDecay != nil else { return layers }
    let peak = settings.headPeakRate(views: experiment.method.views.views.count)
    let decay = settings.optim.head.weightDecay ?? settings.optim.weightDecay
    return layers + " · head \(short(peak)), weight decay \(short(decay))"
  }

  /// `env.json`: what the numbers of the run depend on besides its settings.
  static func environment(_ experiment: Experiment, hosts: [String]) -> String {
    let fields: [(String, JSON)] =
      Versions.all.map { ($0.0, .string($0.1)) } + [
        ("stage", .string(experiment.stage.name)), ("gemm", .string(experiment.products.summary)),
        ("ranks", .int(experiment.communicator.size)), ("hosts", .array(hosts.map { .string($0) })),
        ("allreduce", .string(experiment.communicator.allReduceRoute == .window ? "window" : "mpi")),
        ("seed", .string(String(experiment.settings.seed))),
        ("arguments", .array(CommandLine.arguments.map { .string($0) })),
        ("slurm_job", ProcessInfo.processInfo.environment["SLURM_JOB_ID"].map { .string($0) } ?? .null),
      ]
    return JSON.object(fields).line + "\n"
  }
}
