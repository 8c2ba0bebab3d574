/// A sheet of pictures under captions: one row an image, one column a kind.
public struct PictureSheet {
  /// One picture with what is said about it.
  public struct Cell: Sendable {
    let picture: Pixels?
    let note: String
    let frame: Colour?

    /// - Parameters:
    ///   - picture: nil leaves the place empty.
    ///   - note: a few words below the picture.
    ///   - frame: draws a frame around the picture.
    public init(_ picture: Pixels?, note: String = "", frame: Colour? = nil) {
      self.picture = picture
      self.note = note
      self.frame = frame
    }
  }

  /// The pictures of one row from left to right, and words at its left.
  public struct Row: Sendable {
    let label: String
    let cells: [Cell]

    /// A row of cells.
    public init(_ cells: [Cell], label: String = "") {
      self.label = label
      self.cells = cells
    }
  }

  /// A line at the top.
  public var title: String
  /// Further lines below the title.
  public var remarks: [String]
  /// What the columns show; none for a sheet whose columns are alike.
  public var captions: [String]
  /// The rows.
  public var rows: [Row]
  /// A scale of colours at the right.
  public var bar: ColourBar?
  /// A picture less wide than this is enlarged by a whole factor until it is no longer.
  public var side = PictureSheet.standardSide

  package static let standardSide = 160
  package static let gap = 10
  package static let scale = 2
  /// From one line of text to the next.
  package static let line = (BitmapFont.height + 3) * scale
  private static let labelWidth = 130

  /// A sheet.
  public init(
    title: String, remarks: [String] = [], captions: [String] = [], rows: [Row], bar: ColourBar? = nil
  ) {
    precondition(
      captions.isEmpty || rows.allSatisfy { $0.cells.count <= captions.count },
      "PictureSheet: \(captions.count) captions")
    self.title = title
    self.remarks = remarks
    self.captions = captions
    self.rows = rows
    self.bar = bar
  }

  /// The sheet, as large as what is on it.
  public func rendered() -> Pixels {
    let plan = Plan(self)
    let paper = max(plan.width, PictureSheet.width(of: title)) + 2 * PictureSheet.gap
    let heading = [title] + remarks.flatMap { BitmapFont.lines(of: $0, width: (paper - 20) / PictureSheet.scale) }
    let top = PictureSheet.gap + heading.count * PictureSheet.line + PictureSheet.gap / 2
    let tall = max(plan.height, bar.map { _ in ColourBar.least } ?? 0)
    var canvas = Canvas(width: paper, height: top + tall + PictureSheet.gap)
    for (number, text) in heading.enumerated() {
      canvas.write(
        text, x: PictureSheet.gap, y: PictureSheet.gap + number * PictureSheet.line, number == 0 ? .ink : .pencil)
    }
    for (caption, x) in zip(plan.captions, plan.columns) {
      let first = top + (plan.captionLines - caption.count) * PictureSheet.line
      for (number, text) in caption.enumerated() {
        canvas.write(text, x: x, y: first + number * PictureSheet.line)
      }
    }
    for (number, row) in rows.enumerated() { draw(row, plan, number, top: top, on: &canvas) }
    if let bar {
      let first = top + plan.captionLines * PictureSheet.line
      bar.draw(on: &canvas, x: plan.barPlace, y: first, height: min(max(plan.height - first + top, 150), 400))
    }
    return canvas.pixels
  }

  private func draw(_ row: Row, _ plan: Plan, _ number: Int, top: Int, on canvas: inout Canvas) {
    let y = top + plan.rowPlaces[number]
    for (line, text) in plan.labels[number].enumerated() {
      canvas.write(text, x: PictureSheet.gap, y: y + line * PictureSheet.line)
    }
    for (place, cell) in row.cells.enumerated() {
      let x = plan.columns[place]
      guard let picture = cell.picture else { continue }
      let (zoom, wide, tall) = shown(picture)
      canvas.place(picture, x: x, y: y, zoom: zoom)
      if let frame = cell.frame {
        canvas.frame(x: x - 3, y: y - 3, width: wide + 6, height: tall + 6, thickness: 3, frame)
      }
      for (line, text) in plan.notes[number][place].enumerated() {
        canvas.write(
          text, x: x, y: y + tall + PictureSheet.gap / 2 + 1 + line * PictureSheet.line, cell.frame ?? .pencil)
      }
    }
  }

  /// How much a picture is enlarged, and how large it then is.
  private func shown(_ picture: Pixels) -> (zoom: Int, width: Int, height: Int) {
    let zoom = max(1, (side + picture.width - 1) / picture.width)
    return (zoom, picture.width * zoom, picture.height * zoom)
  }

  /// Pixels that a text is wide.
  package static func width(of text: String) -> Int { BitmapFont.width(of: text) * scale }

  /// Where everything stands, counted from the lower edge of the heading.
  private struct Plan {
    let captions: [[String]]
    let captionLines: Int
    let labels: [[String]]
    let notes: [[[String]]]
    let columns: [Int]
    let rowPlaces: [Int]
    let barPlace: Int
    let width, height: Int

    init(_ sheet: PictureSheet) {
      let (gap, line, scale) = (PictureSheet.gap, PictureSheet.line, PictureSheet.scale)
      let sizes = sheet.rows.map { $0.cells.compactMap(\.picture).map(sheet.shown) }
      let cell = sizes.joined().map(\.width).max() ?? sheet.side
      labels = sheet.rows.map { BitmapFont.lines(of: $0.label, width: PictureSheet.labelWidth / scale) }
      captions = sheet.captions.map { BitmapFont.lines(of: $0, width: cell / scale) }
      captionLines = captions.map(\.count).max() ?? 0
      notes = sheet.rows.map { $0.cells.map { BitmapFont.lines(of: $0.note, width: cell / scale) } }
      let labelWidth = labels.joined().map(PictureSheet.width(of:)).max() ?? 0
      var x = gap + (labelWidth > 0 ? labelWidth + gap : 0)
      var columns: [Int] = []
      for column in 0..<(sheet.rows.map(\.cells.count).max() ?? 0) {
        columns.append(x)
        let words =
          (captions.indices.contains(column) ? captions[column] : [])
          + notes.flatMap { $0.indices.contains(column) ? $0[column] : [] }
        x += max(cell, words.map(PictureSheet.width(of:)).max() ?? 0) + gap
      }
      var y = captionLines * line
      var places: [Int] = []
      for number in sheet.rows.indices {
        places.append(y)
        let tall = sizes[number].map(\.height).max() ?? 0
        let noteLines = notes[number].map(\.count).max() ?? 0
        y += max(tall + (noteLines > 0 ? noteLines * line + gap / 2 : 0), labels[number].count * line) + gap
      }
      self.columns = columns
      rowPlaces = places
      barPlace = x + gap
      width = x + (sheet.bar.map { gap + $0.width } ?? 0) - gap
      height = y
    }
  }
}
