import Basics
import Images
import Settings
import Tensors

// Shapes: n images, L patches, g patches along a side, S side, D width.

/// How similar all patches of an image are to one of them, and the masks above some thresholds.
///
/// - Source: spec/evaluation.md E15; prompt and masks as in E8.
struct SimilarityPicture {
  private let patch: (x: Int, y: Int)?
  private let thresholds: [Double]

  init(_ section: Section) throws(Failure) {
    let given = try section.optionalString(
      "patch", "column and row of the patch that is asked for, from 0: 3,4; null for the middle of the largest object")
    thresholds = try section.doubles(
      "thresholds", default: [0.3, 0.6, 0.9], in: -1.0...1.0, "a mask for each: what is more similar than this")
    patch = try given.map { text throws(Failure) in
      let numbers = text.split(separator: ",").map { Int($0) }
      guard numbers.count == 2, let x = numbers[0], let y = numbers[1], x >= 0, y >= 0 else {
        throw section.failure("patch", "patch=\(text) is no place", hint: "write column,row from 0: patch=3,4")
      }
      return (x, y)
    }
  }

  /// - Shapes: patches [n, L, D].
  /// - Throws: bad config when there is no such patch.
  func drawn(_ images: ShownImages, patches: Tensor) throws(Failure) -> Drawing {
    let (tokens, width) = (patches.shape[1], patches.shape[2])
    let grid = Int(Double(tokens).squareRoot())
    if let patch, patch.x >= grid || patch.y >= grid {
      throw Failure(
        .badConfig, "there is no patch \(patch.x),\(patch.y)", at: "patch",
        hint: "an image has \(grid) x \(grid) patches, counted from 0")
    }
    let found = (0..<images.count).map { image in
      let vectors = (0..<tokens).map { token in
        TokenVector((0..<width).map { Double(patches.pointer[(image * tokens + token) * width + $0]) })
      }
      let prompt = prompt(images.masks?[image], grid: grid)
      return PromptedImage(
        similarities: vectors.map { vectors[prompt].cosine($0) }, grid: grid, prompt: prompt,
        mask: images.masks?[image])
    }
    let lowest = (10 * (found.flatMap(\.similarities).min() ?? 0)).rounded(.down) / 10
    let sheet = PictureSheet(
      title: "Cosine of all patches with the framed one",
      remarks: [
        "A mask holds what is more similar than its threshold, enlarged bilinearly."
          + (images.masks == nil ? "" : " IoU compares it with what is seen in the framed patch.")
      ],
      captions: ["input", "similarity"] + thresholds.map { "above \(twoDigits($0))" },
      rows: found.enumerated().map { image, found in
        .init(found.cells(images.pixels[image], thresholds, from: lowest), label: images.label(image))
      },
      bar: ColourBar(.sequential, from: lowest, to: 1, caption: "cosine"))
    return Drawing(
      [("similarity", sheet.rendered())],
      numbers: [
        ("thresholds", .array(thresholds.map { .double($0) })),
        (
          "images",
          .array(
            found.enumerated().map { image, found in
              .object([
                ("image", .int(images.indices[image])),
                ("patch", .array([.int(found.prompt % grid), .int(found.prompt / grid)])),
                ("iou", .array(thresholds.map { found.overlap(above: $0).map { .double($0) } ?? .null })),
                ("cosine", .array(found.similarities.map { .double($0) })),
              ])
            })
        ),
      ])
  }

  /// The patch that is asked for: the one that is named, else the centre of the largest object, else that of the image.
  private func prompt(_ mask: LabelMask?, grid: Int) -> Int {
    if let patch { return patch.y * grid + patch.x }
    let labels = mask.map { PatchLabels($0, grid: grid).labels } ?? []
    let objects = Dictionary(grouping: labels.indices.filter { labels[$0] > 0 }) { labels[$0] }
    let largest = objects.max { ($0.value.count, -$0.key) < ($1.value.count, -$1.key) }
    return largest.map { PromptSegmentation.centre($0.value, grid: grid) } ?? grid / 2 * grid + grid / 2
  }
}

/// How similar the patches of one image are to one of them.
struct PromptedImage {
  /// [g * g]
  let similarities: [Double]
  let grid: Int
  /// The patch that is asked for.
  let prompt: Int
  let mask: LabelMask?

  /// The pixels above a threshold, where `size` is the side of the image.
  func chosen(above threshold: Double, size: Int) -> [Bool] {
    SimilarityMap(similarities, grid: grid, size: size, .bilinear).values.map { $0 > threshold }
  }

  /// How well the pixels above a threshold cover the object of the prompt; nil when it is on none.
  func overlap(above threshold: Double) -> Double? {
    guard let mask else { return nil }
    let label = PatchLabels(mask, grid: grid).labels[prompt]
    guard label > 0 else { return nil }
    return mask.overlap(chosen(above: threshold, size: mask.width), mask.classes.map { Int32($0) == label })
  }

  /// Input and similarities with the prompt framed, then the mask of each threshold.
  func cells(_ image: Pixels, _ thresholds: [Double], from low: Double) -> [PictureSheet.Cell] {
    let side = image.width / grid
    let (x, y) = (prompt % grid * side, prompt / grid * side)
    let heat = ColourMap.sequential.picture(of: similarities, columns: grid, from: low, to: 1, cell: side)
    return [
      .init(image.marked(x: x, y: y, side: side)), .init(heat.marked(x: x, y: y, side: side)),
    ]
      + thresholds.map { threshold in
        .init(
          image.spotlit(chosen(above: threshold, size: image.width)),
          note: overlap(above: threshold).map { "IoU \(percent($0))" } ?? "")
      }
  }
}
