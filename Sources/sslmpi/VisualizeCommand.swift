import ArgumentParser
import Basics
import Evaluation
import Training

/// `sslmpi visualize`: parse, hand over to `Visualization`, print what was written.
struct VisualizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "visualize",
    abstract: "Draws what a checkpoint has learnt, as PNG.",
    discussion: """
      sslmpi visualize pca runs/demo --out pictures
      sslmpi visualize attention runs/demo --val "synth:tinyshapes?split=scenes-val" --out pictures
      sslmpi visualize neighbours runs/demo --data imagenet --out pictures --images 12 neighbours=10
      sslmpi visualize clusters runs/demo --data "synth:tinyshapes?hardness=0" --out pictures

      Without --data, --train or --val the images are those that the run is measured on.

      \(PictureKind.allCases.map { "\($0.rawValue): \($0.meaning)" }.joined(separator: "\n"))
      """)

  @Argument(help: ArgumentHelp("What is drawn.", valueName: "kind"))
  var kind: PictureKind

  @Argument(help: ArgumentHelp("A run directory or a checkpoint.", valueName: "target"))
  var target: String

  @Argument(help: ArgumentHelp("Parameters of the kind.", valueName: "key=value"))
  var parameters: [String] = []

  @OptionGroup var data: EvaluationDataOptions
  @OptionGroup var compute: ComputeOptions

  @Option(help: ArgumentHelp("What an image is described by, for example cls, patchmean or concat.", valueName: "kind"))
  var feature: String?

  @Option(help: ArgumentHelp("How many images are drawn.", valueName: "n"))
  var images: Int?

  @Option(help: ArgumentHelp("The first key of every random draw.", valueName: "n"))
  var seed: UInt64 = 0

  @Option(help: ArgumentHelp("The directory of the pictures.", valueName: "dir"))
  var out: String

  func validate() throws { try requirePositive([("--images", images ?? 1)]) }

  func run() throws {
    var request = EvaluationRequest(name: kind.rawValue, target: target)
    request.overrides = parameters
    request.kinds = feature.map { [$0] } ?? []
    request.seed = seed
    data.fill(&request)
    try Session.run { world in
      try compute.configure(world.communicator)
      let lines = try Visualization.run(kind, request, images: images, to: out, world.communicator) {
        Output.message($0)
      }
      Output.result(lines.joined(separator: "\n"))
      return .done
    }.end()
  }
}

extension PictureKind: ExpressibleByArgument {}
