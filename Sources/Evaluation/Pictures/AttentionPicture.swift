import Basics
import Images
import Settings
import Tensors

// Shapes: B images, C class tokens, H heads, L patches, g patches along a side.

/// What the class tokens look at in the last block: every head, their mean, and the patches that hold most of it.
///
/// - Source: spec/evaluation.md E15.
struct AttentionPicture {
  let mass: Double

  init(_ section: Section) throws(Failure) {
    mass = try section.double("mass", default: 0.6, in: 0.0...1.0, "part of the attention that a mass mask holds")
  }

  init(mass: Double) { self.mass = mass }

  /// The sheet of rows that `ViT.classAttention` gives.
  ///
  /// - Shapes: attention [B, C, H, C + L].
  func drawn(_ images: ShownImages, attention: Tensor) -> Drawing {
    let (classTokens, heads, tokens) = (attention.shape[1], attention.shape[2], attention.shape[3])
    let grid = Int(Double(tokens - classTokens).squareRoot())
    let patch = images.side / grid
    var rows: [PictureSheet.Row] = []
    var (numbers, overlaps): ([JSON], [[Double]]) = ([], [[Double]](repeating: [], count: classTokens))
    for image in 0..<images.count {
      for token in 0..<classTokens {
        let first = attention.pointer + (image * classTokens + token) * heads * tokens
        // [H][L], without what goes to class tokens
        let maps = (0..<heads).map { head in
          Array(UnsafeBufferPointer(start: first + head * tokens + classTokens, count: tokens - classTokens))
        }
        let row = AttentionRow(maps, mass: mass, grid: grid, patch: patch, mask: images.masks?[image])
        rows.append(
          .init(
            row.cells(over: images.pixels[image]),
            label: images.label(image) + (classTokens > 1 ? " \(AttentionPicture.names[token])" : "")))
        if let best = row.best { overlaps[token].append(best.overlap) }
        numbers.append(
          .object(
            [("image", .int(images.indices[image])), ("token", .string(AttentionPicture.names[token]))] + row.numbers))
      }
    }
    let captions =
      ["input", "mean of heads", "\(percent(mass)) of the mean"]
      + (images.masks == nil ? [] : ["\(percent(mass)) of the best head"]) + (1...heads).map { "head \($0)" }
    let sheet = PictureSheet(
      title: "Attention of the class token in the last block",
      remarks: [
        "Every map has its own scale: the number below is its largest value. IoU compares the patches that hold "
          + "\(percent(mass)) of the attention with the pixels of all objects."
      ],
      captions: captions, rows: rows,
      bar: ColourBar(.sequential, from: 0, to: 1, caption: "part of the map's largest"))
    let means = overlaps.map { $0.isEmpty ? nil : $0.reduce(0, +) / Double($0.count) }
    return Drawing(
      [("attention", sheet.rendered())],
      numbers: [
        ("mass", .double(mass)), ("best_head_iou", .array(means.map { $0.map { .double($0) } ?? .null })),
        ("rows", .array(numbers)),
      ],
      summary: means.enumerated().compactMap { token, mean in
        mean.map {
          "\(AttentionPicture.names[token]): IoU of the best head's mass mask with the objects: \(percent($0))"
        }
      })
  }

  private static let names = ["CLS", "CLS+"]
}

/// The attention of one class token over the patches of one image.
struct AttentionRow {
  /// The heads, [H][L], and their mean, [L].
  let maps: [[Float]]
  let mean: [Float]
  /// The mass masks of the mean and of every head, [1 + H][S, S].
  let masks: [[Bool]]
  /// How well each of them covers the objects; nil without a mask.
  let overlaps: [Double?]?
  private let grid, patch: Int

  /// - Shapes: maps [H][L].
  init(_ maps: [[Float]], mass: Double, grid: Int, patch: Int, mask: LabelMask?) {
    self.maps = maps
    self.grid = grid
    self.patch = patch
    let mean = maps[0].indices.map { place in maps.reduce(0) { $0 + $1[place] } / Float(maps.count) }
    let masks = ([mean] + maps).map { MassMask($0, mass: mass).pixels(grid: grid, patch: patch) }
    overlaps = mask.map { mask in masks.map { mask.overlap($0, mask.foreground) } }
    (self.mean, self.masks) = (mean, masks)
  }

  /// The head whose mask covers the objects best, counted from 0; of equal ones the first.
  var best: (head: Int, overlap: Double)? {
    let known = (overlaps ?? []).dropFirst().enumerated().compactMap { head, overlap in
      overlap.map { (head: head, overlap: $0) }
    }
    return known.max { ($0.overlap, -$0.head) < ($1.overlap, -$1.head) }
  }

  /// The pictures from left to right.
  func cells(over image: Pixels) -> [PictureSheet.Cell] {
    var cells = [
      PictureSheet.Cell(image), heat(mean), .init(image.spotlit(masks[0]), note: note(overlaps?[0])),
    ]
    if overlaps != nil {
      let best = best
      cells.append(
        .init(
          best.map { image.spotlit(masks[1 + $0.head]) },
          note: best.map { "head \($0.head + 1): \(note($0.overlap))" } ?? ""))
    }
    return cells + maps.map(heat)
  }

  /// What is behind the pictures.
  var numbers: [(String, JSON)] {
    let heads = overlaps.map { overlaps in JSON.array(overlaps.dropFirst().map(number)) }
    return [
      ("class_token_share", .double(1 - Double(mean.reduce(0, +)))), ("mean_iou", number(overlaps?[0])),
      ("head_iou", heads ?? .null), ("best_head", best.map { .int($0.head + 1) } ?? .null),
      ("best_head_iou", number(best?.overlap)),
    ]
  }

  private func number(_ value: Double?) -> JSON { value.map { .double($0) } ?? .null }

  private func note(_ overlap: Double?) -> String { overlap.map { "IoU \(percent($0))" } ?? "" }

  private func heat(_ map: [Float]) -> PictureSheet.Cell {
    let largest = Double(map.max() ?? 0)
    return .init(
      ColourMap.sequential.picture(of: map.map(Double.init), columns: grid, from: 0, to: largest, cell: patch),
      note: percent(largest))
  }
}
