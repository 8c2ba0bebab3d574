import ArgumentParser
import Basics
import Evaluation
import Features
import Images
import Training

/// `sslmpi embed`: parse, hand over to `EmbedSession`.
struct EmbedCommand: ParsableCommand {
  /// `--tokens all`
  enum Tokens: String, CaseIterable, ExpressibleByArgument {
    case all
  }

  static let configuration = CommandConfiguration(
    commandName: "embed",
    abstract: "Stores the features of images, for sslmpi eval --features and for other programs.",
    discussion: """
      sslmpi embed runs/demo --data "synth:tinyshapes?split=val" --out val.h5
      mpirun -n 8 sslmpi embed runs/vit --data imagenet --out features --feature cls --feature patchmean
      sslmpi embed runs/demo --data photos --out tokens.h5 --tokens all --save-inputs

      A file of HDF5 has a dataset for each kind of feature, a folder a .npy file for each; beside them labels, index \
      and, with --save-inputs, inputs. Data with the parts train and val give a file or folder for each, in the \
      folder --out.
      """)

  @Argument(help: ArgumentHelp("A run directory, whose newest whole checkpoint is taken, or a checkpoint."))
  var target: String

  @Option(help: ArgumentHelp("Images: a folder, list:FILE or synth:tinyshapes?...", valueName: "address"))
  var data: String

  @Option(help: ArgumentHelp("A file F.h5, which is replaced, or a folder that is empty.", valueName: "F.h5|dir"))
  var out: String

  @Option(
    help: ArgumentHelp(
      "What is stored: cls, cls+, patchmean, concat, lastK:4, patches:6,12, ...; may be given again.",
      valueName: "kind"))
  var feature: [String] = []

  @Option(help: "Every token after the final norm, as tokens.")
  var tokens: Tokens?

  @Flag(help: "The images too, as the encoder takes them, as inputs.")
  var saveInputs = false

  @Option(help: "h5 or npy; what the name of --out says without it.")
  var format: FeatureFormat?

  @Option(help: ArgumentHelp("student or ema; what the method trains for without it.", valueName: "name"))
  var weights: String?

  @Option(help: ArgumentHelp("Side of the images in pixels; positions are resampled.", valueName: "n"))
  var size: Int?

  @Option(help: "How images are resized: bicubic, or bilinear as MSN and MOCA do for lowshot.")
  var interpolation = Interpolation.bicubic

  @Option(help: ArgumentHelp("Images that pass the encoder together; no number depends on it.", valueName: "n"))
  var batch = 32

  @Flag(help: "Take images that cannot be read as the mean colour, instead of stopping.")
  var allowBad = false

  @OptionGroup var compute: ComputeOptions

  func validate() throws { try requirePositive([("--batch", batch), ("--size", size ?? 1)]) }

  func run() throws {
    var request = EmbedRequest(target: target, data: data, out: out)
    request.kinds = feature + (tokens == nil ? [] : [FeatureKind(.tokens).description])
    request.savesInputs = saveInputs
    (request.format, request.interpolation) = (format, interpolation)
    (request.weights, request.size, request.batch, request.allowsBadImages) = (weights, size, batch, allowBad)
    try Session.run { world in
      try compute.configure(world.communicator)
      try EmbedSession.run(request, world.communicator) { Output.message($0) }
      return .done
    }.end()
  }
}

extension FeatureFormat: ExpressibleByArgument {}
extension Interpolation: ExpressibleByArgument {}
