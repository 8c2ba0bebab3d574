import Basics
import Features
import Images
import Messaging
import Settings
import Tensors

// Shapes: n images, L patches, g patches along a side, D width.

/// The patches of all images on their three main directions, as red, green and blue.
///
/// The directions are those of all images together, so equal colours mean similar patches across images.
/// - Source: spec/evaluation.md E16.
struct PatchColourPicture {
  private let clip: Double

  init(_ section: Section) throws(Failure) {
    clip = try section.double(
      "clip", default: 0.02, in: 0.0..<0.5, "part of the patches beyond each end of the colours")
  }

  /// - Shapes: patches [n, L, D], equal on all ranks.
  /// - Collective: all ranks.
  func drawn(_ images: ShownImages, patches: Tensor, communicator: Communicator) throws(Failure) -> Drawing {
    let (count, tokens, width) = (patches.shape[0], patches.shape[1], patches.shape[2])
    let grid = Int(Double(tokens).squareRoot())
    let all = patches.reshaped([count * tokens, width])
    let own = blockRange(count: count * tokens, part: communicator.rank, of: communicator.size)
    let pca = try PCA.fit(rows: all.rows(own), components: min(3, width), communicator: communicator)
    let places = pca.project(all)  // [n L, 3]
    let directions = places.shape[1]
    let ends = (0..<directions).map { direction in
      let sorted = (0..<count * tokens).map { Double(places.pointer[$0 * directions + direction]) }.sorted()
      let cut = Int(clip * Double(sorted.count))
      return (low: sorted[cut], high: sorted[sorted.count - 1 - cut])
    }
    func share(_ row: Int, _ direction: Int) -> Double {
      guard direction < directions else { return 0 }
      let (low, high) = ends[direction]
      let value = Double(places.pointer[row * directions + direction])
      return high > low ? min(max((value - low) / (high - low), 0), 1) : 0.5
    }
    let patch = images.side / grid
    let rows = (0..<count).map { image in
      let own = image * tokens..<(image + 1) * tokens
      let joint = own.map { row in
        let levels = (0..<3).map { UInt8((255 * share(row, $0)).rounded()) }
        return Colour(levels[0], levels[1], levels[2])
      }
      let cells =
        [PictureSheet.Cell(images.pixels[image]), .init(Pixels(painting: joint, columns: grid, cell: patch))]
        + (0..<directions).map { direction in
          .init(
            ColourMap.sequential.picture(
              of: own.map { share($0, direction) }, columns: grid, from: 0, to: 1, cell: patch))
        }
      return PictureSheet.Row(cells, label: images.label(image))
    }
    let shares = pca.explainedRatio
    let sheet = PictureSheet(
      title: "Patches on their main directions",
      remarks: [
        "Principal components of the patches of all images together; "
          + "the second column has the first three as red, green and blue."
      ],
      captions: ["input", "1, 2, 3 as red, green, blue"]
        + shares.enumerated().map { "direction \($0 + 1): \(percent($1))" },
      rows: rows, bar: ColourBar(.sequential, from: 0, to: 1, caption: "place between the ends"))
    return Drawing(
      [("pca", sheet.rendered())],
      numbers: [
        ("images", .array(images.indices.map { .int($0) })), ("explained", .array(shares.map { .double($0) })),
      ],
      summary: ["share of the variance: " + shares.map(percent).joined(separator: ", ")])
  }
}
