import Basics
import Images

// Shapes: K classes, k clusters.

/// Classes against the clusters that stand for them: agreement is on the diagonal.
///
/// - Source: spec/evaluation.md E16.
struct ConfusionPicture {
  private static let gap = 10
  private static let smallestWithNumbers = 30
  private static let smallestWithNames = 18
  private static let mostPixels = 1400

  let confusion: Confusion
  let classNames: [String]

  private var rows: Int { confusion.counts.count }
  private var columns: Int { confusion.clusters.count }
  private var total: Int { confusion.counts.joined().reduce(0, +) }
  /// The share of the images whose cluster stands for their class.
  var accuracy: Double { Double(confusion.trace) / Double(max(total, 1)) }

  func drawn() -> Pixels {
    let numbers = confusion.counts.joined().map { PictureSheet.width(of: "\($0)") }.max() ?? 0
    let wished = max(44, numbers + 12)
    let cell = max(1, min(wished, ConfusionPicture.mostPixels / max(rows, columns)))
    let hasNames = cell >= ConfusionPicture.smallestWithNames
    let gap = ConfusionPicture.gap
    let names = (0..<rows).map { classNames.indices.contains($0) ? classNames[$0] : "class \($0)" }
    let heads = confusion.clusters.map { $0.map { "cluster \($0)" } ?? "none" }
    let left = gap + (hasNames ? (names.map(PictureSheet.width(of:)).max() ?? 0) + gap : 0)
    let remark = "Rows are classes, columns the clusters that stand for them; colour is the share of the class."
    let bar = ColourBar(.counts, from: 0, to: 100, caption: "% of the class")
    let width = max(left + columns * cell + 2 * gap + bar.width + gap, 520)
    let lines =
      ["Clusters against classes: \(percent(accuracy)) agree (\(confusion.trace) of \(total))"]
      + BitmapFont.lines(of: remark, width: (width - 2 * gap) / PictureSheet.scale)
    let top = gap + lines.count * PictureSheet.line
    let head = hasNames ? (heads.map(PictureSheet.width(of:)).max() ?? 0) + gap : gap
    let first = top + head
    let tall = max(rows * cell, ColourBar.least)
    let titleWidth = PictureSheet.width(of: lines[0]) + 2 * gap
    var canvas = Canvas(width: max(width, titleWidth), height: first + tall + gap)
    for (number, text) in lines.enumerated() {
      canvas.write(text, x: gap, y: gap + number * PictureSheet.line, number == 0 ? .ink : .pencil)
    }
    canvas.fill(x: left - 1, y: first - 1, width: columns * cell + 1, height: rows * cell + 1, .mist)
    let letter = BitmapFont.ascent * PictureSheet.scale
    for (row, counts) in confusion.counts.enumerated() {
      let y = first + row * cell
      if hasNames { canvas.write(names[row], x: gap, y: y + (cell - letter) / 2) }
      let size = Double(max(counts.reduce(0, +), 1))
      for (column, count) in counts.enumerated() {
        let share = Double(count) / size
        let x = left + column * cell
        let inset = cell > 4 ? 1 : 0
        canvas.fill(x: x, y: y, width: cell - inset, height: cell - inset, ColourMap.counts[share])
        if cell >= ConfusionPicture.smallestWithNumbers, numbers + 4 <= cell, count > 0 {
          let text = "\(count)"
          canvas.write(
            text, x: x + (cell - PictureSheet.width(of: text)) / 2, y: y + (cell - letter) / 2,
            share > 0.5 ? .white : .ink)
        }
      }
    }
    if cell > 4 {
      for number in 0..<min(rows, columns) {
        canvas.frame(
          x: left + number * cell, y: first + number * cell, width: cell - 1, height: cell - 1, thickness: 1, .pencil)
      }
    }
    if hasNames {
      for (column, text) in heads.enumerated() {
        canvas.writeUpwards(text, x: left + column * cell + (cell - letter) / 2, y: first - gap / 2)
      }
    }
    bar.draw(on: &canvas, x: left + columns * cell + 2 * gap, y: first, height: min(tall, 400))
    return canvas.pixels
  }
}
