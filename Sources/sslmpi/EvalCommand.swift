import ArgumentParser
import Basics
import Evaluation
import Foundation
import Training

/// `sslmpi eval`: parse, hand over to `EvaluationSession`, print and write what it measured.
struct EvalCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "eval",
    abstract: "Measures how good the features of a checkpoint are.",
    discussion: """
      sslmpi eval list
      sslmpi eval knn runs/demo --data "synth:tinyshapes?hardness=0" k=[1,10,20]
      mpirun -n 8 sslmpi eval linear runs/vit/checkpoints/last.h5 --data imagenet --out linear.json recipe=mae-ct
      sslmpi eval knn --features features --out knn.json
      mpirun -n 2 sslmpi eval all runs/demo --tiny
      """)

  @Argument(
    help: ArgumentHelp(
      "A protocol, all or list; a run directory or a checkpoint; parameters of the protocol.",
      valueName: "name|target|key=value"))
  var words: [String] = []

  @OptionGroup var data: EvaluationDataOptions
  @OptionGroup var compute: ComputeOptions

  @Option(help: ArgumentHelp("What an image is described by, for example cls, patchmean or concat.", valueName: "kind"))
  var feature: [String] = []

  @Option(help: ArgumentHelp("Features that sslmpi embed wrote, in place of a checkpoint.", valueName: "path"))
  var features: String?

  @Option(help: ArgumentHelp("The first key of every random draw.", valueName: "n"))
  var seed: UInt64 = 0

  @Flag(help: "The settings of the small suite, on generated shapes unless --data says otherwise.")
  var tiny = false

  @Option(help: ArgumentHelp("The report; RUN/eval/NAME.json for a run directory.", valueName: "file"))
  var out: String?

  @Flag(help: "The report on standard output.")
  var json = false

  @Flag(help: "Show the parameters of the protocol with their defaults and what they mean; measure nothing.")
  var explain = false

  func run() throws {
    guard let name = words.first, !ConfigurationOptions.isOverride(name) else {
      throw ValidationError("name a protocol: sslmpi eval list shows them.")
    }
    if name == "list" { return list() }
    let rest = words.dropFirst()
    let targets = rest.filter { !ConfigurationOptions.isOverride($0) }
    guard targets.count < 2 else {
      throw ValidationError("there is one target, not \(targets.count): \(targets.joined(separator: ", ")).")
    }
    var request = EvaluationRequest(name: name, target: targets.first)
    request.overrides = rest.filter(ConfigurationOptions.isOverride)
    request.features = features
    request.kinds = feature
    request.seed = seed
    request.isTiny = tiny
    data.fill(&request)
    if explain { return Output.result(try EvaluationSession.explain(request)) }
    try Session.run { world in
      try compute.configure(world.communicator)
      let outcome = try EvaluationSession.run(request, world.communicator) { Output.message($0) }
      if json { Output.result(outcome.json.line) } else { Output.result(outcome.lines.joined(separator: "\n")) }
      if let path = try outcome.write(to: out, world.communicator) { Output.message("report: \(path)") }
      return .done
    }.end()
  }

  private func list() {
    let width = EvaluatorRegistry.all.map { $0.name.count }.max() ?? 0
    for type in EvaluatorRegistry.all { Output.result(type.name.padded(to: width) + "  " + type.question) }
  }
}
