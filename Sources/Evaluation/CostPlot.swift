import Foundation

/// What runs cost and what they got for it, drawn: accuracy over node-hours, and linear against dense accuracy.
///
/// - Source: spec/evaluation.md E11: MOCA figure 1, UDI figure 6.
struct CostPlot {
  private static let inks = ["#2563a8", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#0f766e", "#be123c", "#475569"]

  private let panels: [Panel]

  init(_ records: [CostRecord]) {
    let named = records.enumerated().map { (number: $0, record: $1, ink: CostPlot.inks[$0 % CostPlot.inks.count]) }
    var accuracy = Panel(title: "accuracy over time", horizontal: "node-hours", vertical: "k-NN top-1, %")
    for (_, record, ink) in named where !record.measurements.isEmpty {
      let points = record.measurements.map { measured in
        Panel.Point(x: record.summary.spent(in: measured.stage, at: measured.step).nodeHours, y: measured.knn)
      }
      accuracy.series.append(Panel.Series(name: record.name, ink: ink, points: points, isLine: true))
    }
    var dense = Panel(
      title: "image against dense accuracy (area: node-hours)", horizontal: "linear top-1, %", vertical: "dense mIoU, %"
    )
    let largest = records.map(\.summary.nodeHours).max() ?? 1
    for (_, record, ink) in named {
      guard let linear = record.scores["linear"], let mask = record.scores["segprobe"] ?? record.scores["promptseg"]
      else { continue }
      let radius = 4 + 16 * (record.summary.nodeHours / max(largest, 1e-12)).squareRoot()
      let point = Panel.Point(x: linear, y: mask, radius: radius)
      dense.series.append(Panel.Series(name: record.name, ink: ink, points: [point], isLine: false))
    }
    panels = [accuracy, dense].filter { !$0.series.isEmpty }
  }

  /// Whether there is anything to draw.
  var isEmpty: Bool { panels.isEmpty }

  /// The drawing as an SVG file.
  var svg: String {
    let width = panels.count * Panel.width
    let head =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(width) \(Panel.height)\" font-family=\"sans-serif\" "
      + "font-size=\"12\" fill=\"#333333\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    return head + panels.enumerated().map { $1.svg(left: $0 * Panel.width) }.joined() + "</svg>\n"
  }
}

/// One pair of axes.
private struct Panel {
  struct Point {
    let x, y: Double
    var radius = 3.0
  }

  struct Series {
    let name: String
    let ink: String
    let points: [Point]
    let isLine: Bool
  }

  static let width = 460
  static let height = 360
  private static let area = (left: 60.0, top: 40.0, width: 370.0, height: 260.0)

  let title, horizontal, vertical: String
  var series: [Series] = []

  func svg(left: Int) -> String {
    let points = series.flatMap(\.points)
    // Discs must not stick out.
    let margin = series.contains { !$0.isLine } ? 0.15 : 0.03
    let (x, y) = (Axis(points.map(\.x), margin: margin), Axis(points.map(\.y), margin: margin))
    let area = Panel.area
    func column(_ value: Double) -> Double { area.left + x.place(value) * area.width }
    func row(_ value: Double) -> Double { area.top + (1 - y.place(value)) * area.height }
    var out = "<g transform=\"translate(\(left) 0)\">\n"
    out += text(title, area.left + area.width / 2, 24, anchor: "middle", more: " font-weight=\"bold\"")
    for tick in y.ticks {
      out += path("M\(point(area.left)) \(point(row(tick)))h\(point(area.width))", ink: "#dddddd")
      out += text(y.label(tick), area.left - 6, row(tick) + 4, anchor: "end")
    }
    for tick in x.ticks {
      out += path("M\(point(column(tick))) \(point(area.top))v\(point(area.height))", ink: "#eeeeee")
      out += text(x.label(tick), column(tick), area.top + area.height + 16, anchor: "middle")
    }
    out += text(horizontal, area.left + area.width / 2, area.top + area.height + 38, anchor: "middle")
    out += "<g transform=\"translate(16 \(point(area.top + area.height / 2))) rotate(-90)\">"
    out += text(vertical, 0, 0, anchor: "middle") + "</g>\n"
    for (number, series) in series.enumerated() {
      if series.isLine {
        let places = series.points.map { "\(point(column($0.x))) \(point(row($0.y)))" }
        out += path("M" + places.joined(separator: "L"), ink: series.ink, more: " stroke-width=\"2\"")
      }
      for dot in series.points {
        out += "<circle cx=\"\(point(column(dot.x)))\" cy=\"\(point(row(dot.y)))\" r=\"\(point(dot.radius))\" "
        out += "fill=\"\(series.ink)\" fill-opacity=\"\(series.isLine ? 1 : 0.6)\"/>\n"
      }
      let ink = " fill=\"\(series.ink)\""
      if series.isLine {
        let line = area.top + area.height - 10 - 16 * Double(self.series.count - 1 - number)
        out += text(series.name, area.left + area.width - 8, line, anchor: "end", more: ink)
      } else if let disc = series.points.first {
        out += text(series.name, column(disc.x), row(disc.y) - disc.radius - 5, anchor: "middle", more: ink)
      }
    }
    return out + "</g>\n"
  }

  private func path(_ course: String, ink: String, more: String = "") -> String {
    "<path d=\"\(course)\" fill=\"none\" stroke=\"\(ink)\"\(more)/>\n"
  }

  private func text(_ words: String, _ x: Double, _ y: Double, anchor: String, more: String = "") -> String {
    let safe = words.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
    return "<text x=\"\(point(x))\" y=\"\(point(y))\" text-anchor=\"\(anchor)\"\(more)>\(safe)</text>\n"
  }

  private func point(_ value: Double) -> String { String(format: "%.1f", value) }
}

/// A range of values with round numbers on it.
struct Axis {
  let lower, upper: Double
  private let step: Double

  /// A range that holds all values and a margin, a part of their extent, on both sides.
  init(_ values: [Double], margin: Double) {
    let (least, most) = (values.min() ?? 0, values.max() ?? 1)
    let extent = most > least ? most - least : max(abs(most), 1)
    (lower, upper) = (least - margin * extent, most + margin * extent)
    let rough = (upper - lower) / 5
    let power = pow(10, floor(log10(rough)))
    step = power * ([1, 2, 5, 10].first { $0 * power >= rough } ?? 10)
  }

  /// Where a value lies, 0 ... 1.
  func place(_ value: Double) -> Double { (value - lower) / (upper - lower) }

  /// Round numbers inside the range.
  var ticks: [Double] {
    let first = Int((lower / step).rounded(.up))
    let last = Int((upper / step).rounded(.down))
    return first > last ? [] : (first...last).map { Double($0) * step }
  }

  /// A tick in as few digits as its step needs.
  func label(_ tick: Double) -> String {
    let digits = max(0, -Int(floor(log10(step) + 1e-9)))
    return String(format: "%.\(digits)f", tick)
  }
}
