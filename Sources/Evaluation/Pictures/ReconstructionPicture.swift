import Basics
import Images
import Layers
import Methods
import Pipeline
import Settings
import Tensors
import Weights

// Shapes: B images, L patches, d = 3 P^2.

/// Masked images and what the decoder predicts, from the encoder's output or from its last blocks one by one.
///
/// - Source: spec/evaluation.md E15.
struct ReconstructionPicture {
  private let maskRatio: Double?
  private let isLayerwise: Bool
  private let blocks: Int

  init(_ section: Section) throws(Failure) {
    maskRatio = try section.optionalDouble(
      "mask_ratio", in: 0.0...0.99, absent: "trained", "part of the patches that is removed; as in training")
    isLayerwise = try section.bool("layerwise", default: false, "a second sheet, from the output of the last blocks")
    blocks = try section.int("blocks", default: 6, in: 2...1000, "blocks on the second sheet")
  }

  func drawn(_ images: ShownImages, _ autoencoder: Autoencoder, view: ViewSpec, seed: UInt64) -> Drawing {
    let configuration = autoencoder.configuration
    let ratio = maskRatio ?? autoencoder.maskRatio
    let mask = Mask.random(
      tokens: configuration.tokens, ratio: ratio, images: images.indices, view: 0, epoch: 0, seed: seed)
    let canvas = Reconstruction(images.tensor, mask: mask, patch: configuration.patch, view: view)
    let first = isLayerwise ? max(1, configuration.depth - blocks + 1) : configuration.depth
    let shown = Array(first...configuration.depth)
    let predicted = autoencoder.predicted(images.tensor, mask, after: shown)  // [b, L, d] a block
    let isNormalised = autoencoder.predictsNormalisedPatches
    let own = predicted.map { canvas.pasted($0, scaledBy: isNormalised ? .ownPatch : .nothing) }  // [b, 3, S, S]
    func cell(_ tensor: Tensor, _ place: Int) -> PictureSheet.Cell {
      .init(Pixels(tensor, at: place, mean: view.mean, std: view.std))
    }
    var columns = [("input", images.tensor), ("masked", canvas.masked())]
    if isNormalised {
      columns += [
        ("prediction, scale of the visible", canvas.pasted(predicted[shown.count - 1], scaledBy: .visiblePatches)),
        ("prediction, scale of its patch", own[shown.count - 1]),
      ]
    } else {
      columns.append(("prediction", own[shown.count - 1]))
    }
    let errors = (0..<images.count).map { place in
      difference(own[shown.count - 1], images.tensor, at: place, std: view.std).reduce(0, +)
        / Double(max(images.side * images.side * mask.removedCount / mask.tokens, 1))
    }
    let sheet = PictureSheet(
      title: "Reconstruction with \(percent(ratio)) of the patches removed",
      remarks: isNormalised
        ? [
          "The decoder predicts patches of mean 0 and variance 1. The third column scales them like the visible "
            + "patches, the last like the true patch, whose brightness and contrast it thereby tells."
        ] : [],
      captions: columns.map(\.0),
      rows: (0..<images.count).map { place in
        .init(columns.map { cell($0.1, place) }, label: images.label(place))
      })
    var sheets = [("recon", sheet.rendered())]
    if isLayerwise { sheets.append(("recon-layers", layers(images, shown, own, view))) }
    return Drawing(
      sheets,
      numbers: [
        ("mask_ratio", .double(ratio)), ("images", .array(images.indices.map { .int($0) })),
        ("mean_absolute_error", .array(errors.map { .double($0) })),
      ])
  }

  /// The second sheet: a prediction a block, and below how much it differs from that of the block before.
  private func layers(_ images: ShownImages, _ blocks: [Int], _ drawn: [Tensor], _ view: ViewSpec) -> Pixels {
    let changes = (0..<images.count).map { place in
      blocks.indices.dropFirst().map { difference(drawn[$0], drawn[$0 - 1], at: place, std: view.std) }
    }
    let largest = changes.joined().joined().max() ?? 0
    let rows = (0..<images.count).flatMap { place -> [PictureSheet.Row] in
      [
        .init(
          [.init(images.pixels[place])]
            + drawn.map { .init(Pixels($0, at: place, mean: view.mean, std: view.std)) },
          label: images.label(place)),
        .init(
          [.init(nil), .init(nil)]
            + changes[place].map {
              .init(ColourMap.sequential.picture(of: $0, columns: images.side, from: 0, to: largest))
            }, label: "change from the block before"),
      ]
    }
    return PictureSheet(
      title: "Reconstruction from the output of each of the last blocks",
      remarks: ["The final norm and the decoder are put on the output of a block."],
      captions: ["input"] + blocks.map { "block \($0)" }, rows: rows,
      bar: ColourBar(.sequential, from: 0, to: largest, caption: "change in levels of 255")
    ).rendered()
  }

  /// How far two images are apart in every pixel: the mean over channels, in levels of 255.
  ///
  /// - Shapes: a, b [B, 3, S, S] -> [S, S]
  private func difference(_ a: Tensor, _ b: Tensor, at place: Int, std: [Float]) -> [Double] {
    let area = a.shape[2] * a.shape[3]
    let (first, second) = (a.pointer + place * 3 * area, b.pointer + place * 3 * area)
    return (0..<area).map { pixel in
      (0..<3).reduce(0.0) { sum, channel in
        let i = channel * area + pixel
        return sum + 255 * Double(std[channel]) * abs(Double(first[i]) - Double(second[i])) / 3
      }
    }
  }
}
