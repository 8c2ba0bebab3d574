import ArgumentParser
import Evaluation

/// Which images, how large, and which weights: what the commands that look at an encoder share.
struct EvaluationDataOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Images: a folder with train and val, or synth:tinyshapes; its classes are the labels.", valueName: "address"))
  var data: String?

  @Option(help: ArgumentHelp("The training split, in place of --data.", valueName: "address"))
  var train: String?

  @Option(help: ArgumentHelp("The split to measure on, in place of --data.", valueName: "address"))
  var val: String?

  @Option(
    help: ArgumentHelp(
      "Masks of the measured images: PNG files of class numbers under the images' names.", valueName: "dir"))
  var masks: String?

  @Option(help: ArgumentHelp("student or ema; what the method trains for without it.", valueName: "name"))
  var weights: String?

  @Option(help: ArgumentHelp("Side of the images in pixels; positions are resampled.", valueName: "n"))
  var size: Int?

  @Option(help: ArgumentHelp("Images that pass the encoder together; no number depends on it.", valueName: "n"))
  var batch = 32

  func validate() throws {
    try requirePositive([("--batch", batch), ("--size", size ?? 1)])
    if data != nil, train != nil || val != nil {
      throw ValidationError("--data names both splits, --train and --val one each: give either.")
    }
  }

  /// Puts the options into a request.
  func fill(_ request: inout EvaluationRequest) {
    (request.data, request.train, request.val, request.masks) = (data, train, val, masks)
    (request.weights, request.size, request.batch) = (weights, size, batch)
  }
}
