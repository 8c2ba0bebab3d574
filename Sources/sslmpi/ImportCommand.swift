import ArgumentParser
import Basics
import Training
import Weights

/// `sslmpi import`: the weights of another program as a checkpoint.
struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Reads weights of timm, MAE, DINO or Hugging Face transformers into a checkpoint.",
    discussion: """
      sslmpi import mae.safetensors --model vit_base_patch16_224 --out mae.h5
      sslmpi import own.safetensors --model vit_tiny_patch16_224 model.patch=4 model.img_size=32 --out own.h5
      The checkpoint is for eval, embed, visualize, pretrain --init-from and the from of a stage.
      """)

  @Argument(help: ArgumentHelp("A safetensors file; its names tell which program wrote it.", valueName: "file"))
  var file: String

  @Argument(help: ArgumentHelp("Sizes that the model's name does not tell.", valueName: "model.key=value"))
  var words: [String] = []

  @Option(help: ArgumentHelp("Model by its timm name; a file of sslmpi export says it itself.", valueName: "name"))
  var model: String?

  @Option(help: ArgumentHelp("The checkpoint to write.", valueName: "file"))
  var out: String

  @Flag(
    help: "Take what fits; the rest of the encoder keeps its initial values, a decoder that is not whole is left out.")
  var allowPartial = false

  func run() throws {
    try Session.run { world in
      let communicator = world.communicator
      let imported = try communicator.agreed { () throws(Failure) in
        try WeightImport(
          file, model: model, words: words, allowPartial: allowPartial, communicator: communicator)
      }
      Output.message(([imported.names.rawValue + " names: "] + imported.report.table).joined(separator: "\n"))
      for note in imported.report.notes { Output.message("note: \(note)") }
      try imported.write(to: out, program: Versions.program, communicator: communicator)
      Output.result(imported.advice(out))
      return .done
    }.end()
  }
}
