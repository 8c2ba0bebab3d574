import ArgumentParser
import Basics
import Training
import Weights

/// `sslmpi export`: the encoder of a checkpoint for other programs.
struct ExportCommand: ParsableCommand {
  enum Format: String, CaseIterable, ExpressibleByArgument {
    case safetensors
  }

  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Writes an encoder for timm, MAE, DINO or Hugging Face transformers.",
    discussion: """
      sslmpi export runs/demo --names timm --out demo.safetensors
      Positions are written out as values. A second class token is timm's reg_token. The last lines load the file.
      """)

  @Argument(help: "A run directory or a checkpoint.")
  var target: String

  @Option(help: "Whose names: timm, mae (with the decoder), dino, hf (ViTMAE, with the decoder).")
  var names = WeightNames.timm

  @Option(help: "The format of the file.")
  var format = Format.safetensors

  @Option(help: ArgumentHelp("The file to write.", valueName: "file"))
  var out: String

  @Option(help: ArgumentHelp("student or ema; what the method trains for without it.", valueName: "name"))
  var weights: String?

  @Option(help: ArgumentHelp("Keep this class token alone, of an encoder with two.", valueName: "0|1"))
  var clsOnly: Int?

  @Option(help: ArgumentHelp("Side of the images in pixels; positions are resampled.", valueName: "n"))
  var size: Int?

  func run() throws {
    try Session.run { world in
      let communicator = world.communicator
      let place = try CheckpointTarget(target, communicator)
      for notice in place.notices { Output.message("warning: \(notice)") }
      var encoder = try Encoder(place.path, weights: weights, communicator: communicator)
      if let size { encoder = try encoder.resized(to: size) }
      let export = try WeightExport(encoder, names: names, classToken: clsOnly, communicator: communicator)
      for warning in export.warnings { Output.message("warning: \(warning)") }
      switch format {
      case .safetensors: try export.write(to: out, communicator: communicator)
      }
      Output.message("\(encoder.weights) of \(place.path): \(export.summary) in \(out)")
      Output.result(export.snippet(out))
      return .done
    }.end()
  }
}

extension WeightNames: ExpressibleByArgument {}
