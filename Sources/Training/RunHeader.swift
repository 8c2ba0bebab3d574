import Basics
import Foundation
import Messaging
import Settings
import Tensors

/// What a run is, in a few lines, before it begins.
enum RunHeader {
  static func text(_ experiment: Experiment, directory: String, firstStep: Int) -> String {
    let settings = experiment.settings
    let communicator = experiment.communicator
    let length = experiment.length
    let millions = Double(experiment.arena.parameterCount) / 1e6
    let local = (0..<communicator.size).map {
      blockRange(count: length.globalBatch, part: $0, of: communicator.size).count
    }
    let share = Set(local).count == 1 ? "\(local[0])" : "\(local.min() ?? 0) or \(local.max() ?? 0)"
    var lines = [
      "sslmpi \(Versions.program)  \(settings.method) · \(settings.model.arch) · "
        + "\(String(format: "%.2f", millions)) M parameters  run \(directory)",
      "ranks \(experiment.threads.summary) · \(InstructionSet.chosen.rawValue) · "
        + "products \(experiment.products.summary) · \(World.libraryName)",
      "data  \(experiment.train.address): \(experiment.train.count) images, "
        + "\(experiment.train.classNames.isEmpty ? "no" : "\(experiment.train.classNames.count)") classes · "
        + "batch \(length.globalBatch) = \(communicator.size) ranks × \(share) · "
        + "\(length.stepsPerEpoch) steps an epoch, \(length.totalSteps) steps in all",
      "lr    \(rateEquation(experiment)) · weight decay \(short(settings.optim.weightDecay)) · warm-up "
        + "\(experiment.rate.warmup) steps · seed \(settings.seed)",
    ]
    if communicator.size > 1 { lines.append("comm  \(route(experiment))") }
    if let warning = experiment.threads.warning { lines.append("warning: \(warning)") }
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

  /// `env.json`: what the numbers of the run depend on besides its settings.
  static func environment(_ experiment: Experiment, hosts: [String]) -> String {
    let fields: [(String, JSON)] =
      Versions.all.map { ($0.0, .string($0.1)) } + [
        ("gemm", .string(experiment.products.summary)),
        ("ranks", .int(experiment.communicator.size)), ("hosts", .array(hosts.map { .string($0) })),
        ("allreduce", .string(experiment.communicator.allReduceRoute == .window ? "window" : "mpi")),
        ("seed", .string(String(experiment.settings.seed))),
        ("arguments", .array(CommandLine.arguments.map { .string($0) })),
        ("slurm_job", ProcessInfo.processInfo.environment["SLURM_JOB_ID"].map { .string($0) } ?? .null),
      ]
    return JSON.object(fields).line + "\n"
  }
}
