import ArgumentParser
import Basics
import Evaluation
import Foundation
import Layers
import Training

extension BenchCommand {
  /// `sslmpi bench features`
  struct Extracted: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "features",
      abstract: "Features of JPEG files beside the bare encoder on images in memory, in turns.",
      discussion: "sslmpi bench features --model vit_base_patch16_224 --threads 2 --images 128")

    @Option(help: "The encoder; sslmpi list models.") var model = "vit_small_patch16_224"
    @Option(help: ArgumentHelp("Images, instead of generated photographs of 500 x 375 pixels.", valueName: "address"))
    var data: String?
    @Option(help: "Images of a round, over all ranks.") var images = 256
    @Option(help: "Images that pass the encoder together.") var batch = 32
    @Option(help: "Measured rounds, after one that is not; the median counts.") var rounds = 5
    @Option(help: "Compute threads of a rank.") var threads = 1
    @Option(help: "Threads of a rank that decode ahead.") var workers = 1
    @Flag(help: "One JSON object.") var json = false

    func validate() throws {
      try requirePositive([
        ("--images", images), ("--batch", batch), ("--rounds", rounds), ("--threads", threads),
        ("--workers", workers + 1),
      ])
      guard ViTConfiguration.named(model) != nil else {
        throw ValidationError("--model \(model) is not known: sslmpi list models shows the names.")
      }
    }

    func run() throws {
      guard let sizes = ViTConfiguration.named(model) else { return }
      try Session.run { world in
        ThreadTeam.configure(threads: threads)
        let directory = FileManager.default.temporaryDirectory.path + "/sslmpi-photographs-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let result = try ExtractionBenchmark.run(
          .init(model: sizes, data: data, images: images, batch: batch, workers: workers, rounds: rounds),
          directory: directory, world.communicator)
        let fractions = result.fractions
        func rate(_ seconds: [Double]) -> JSON { .double(Double(result.images) / seconds.sorted()[seconds.count / 2]) }
        let fields: [(String, JSON)] = [
          ("model", .string(model)), ("ranks", .int(world.communicator.size)), ("threads", .int(threads)),
          ("workers", .int(workers)), ("images", .int(result.images)), ("batch", .int(batch)),
          ("forward_images_per_s", rate(result.forwardSeconds)),
          ("extraction_images_per_s", rate(result.extractionSeconds)),
          ("fraction_of_forward", .double(fractions[fractions.count / 2])),
          ("fraction_min", .double(fractions[0])), ("fraction_max", .double(fractions[fractions.count - 1])),
          ("peak_mib_per_rank", .double(Double(result.peakBytes) / 1_048_576)),
        ]
        Output.result(json ? JSON.object(fields).line : BenchCommand.list(fields))
        return .done
      }.end()
    }
  }
}
