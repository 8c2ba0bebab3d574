import Basics
import Features
import Images
import Messaging

/// All images as dots on the two main directions of their features, coloured by class.
///
/// - Source: spec/evaluation.md E16.
struct FeatureMapPicture {
  private static let side = 720
  private static let gap = 10
  private static let mostNames = 40
  private static let manyDots = 4000

  /// Places on the two directions, one an image.
  let places: [(x: Double, y: Double)]
  /// Classes, -1 for none.
  let labels: [Int32]
  let classNames: [String]
  /// The directions' shares of the variance.
  let shares: [Double]

  /// The map of the features of all images.
  ///
  /// - Throws: non-finite when a feature is not a number; bad data when there are fewer than two.
  /// - Collective: all ranks.
  static func drawn(_ set: FeatureSet, communicator: Communicator) throws(Failure) -> Drawing {
    let pca = try PCA.fit(set, components: 2, communicator: communicator)
    let own = pca.project(set.rows).array.map(Double.init)  // [n of this rank, 2]
    // Every place has one owner: sums with zeros are exact.
    var all = [Double](repeating: 0, count: 2 * set.count)
    all.replaceSubrange(2 * set.range.lowerBound..<2 * set.range.upperBound, with: own)
    all = try communicator.allReduceSum(all)
    let picture = FeatureMapPicture(
      places: (0..<set.count).map { (all[2 * $0], all[2 * $0 + 1]) }, labels: set.labels, classNames: set.classNames,
      shares: pca.explainedRatio)
    return Drawing(
      [("map", picture.drawn())],
      numbers: [
        ("explained", .array(pca.explainedRatio.map { .double($0) })),
        ("images", .array(set.indices.map { .int(Int($0)) })), ("labels", .array(set.labels.map { .int(Int($0)) })),
        ("places", .array(picture.places.map { .array([.double($0.x), .double($0.y)]) })),
      ], summary: ["share of the variance: " + pca.explainedRatio.map(percent).joined(separator: ", ")])
  }

  func drawn() -> Pixels {
    let (gap, side) = (FeatureMapPicture.gap, FeatureMapPicture.side)
    let present = Set(labels.filter { $0 >= 0 }).sorted()
    let classes = max(classNames.count, Int(present.last ?? -1) + 1)
    let named =
      present.count <= FeatureMapPicture.mostNames
      ? present.map { label in
        (colour: Colour.ofClass(Int(label), among: classes), name: name(label))
      } : []
    let legend = named.isEmpty ? 0 : 24 + (named.map { PictureSheet.width(of: $0.name) }.max() ?? 0) + 2 * gap
    let title = "\(places.count) images on the two main directions of their features"
    let (left, top) = (2 * gap + PictureSheet.line, gap + PictureSheet.line + gap / 2)
    let wide = max(left + side + gap + legend, PictureSheet.width(of: title) + 2 * gap)
    let tall = top + max(side, named.count * PictureSheet.line) + gap + PictureSheet.line + gap
    var canvas = Canvas(width: wide, height: tall)
    canvas.write(title, x: gap, y: gap)
    canvas.frame(x: left, y: top, width: side, height: side, thickness: 1, .mist)
    canvas.write(caption(0), x: left, y: top + side + gap)
    canvas.writeUpwards(caption(1), x: gap, y: top + side)
    let radius = places.count > FeatureMapPicture.manyDots ? 2.0 : 4.0
    // One scale for both directions, so that distances are what they look like.
    let (across, up) = (middle(places.map(\.x)), middle(places.map(\.y)))
    let span = max(across.span, up.span) > 0 ? max(across.span, up.span) : 1
    let inner = Double(side) - 6 * radius
    for (number, place) in places.enumerated() {
      let label = labels[number]
      let x = Double(left) + Double(side) / 2 + inner * (place.x - across.middle) / span
      let y = Double(top) + Double(side) / 2 - inner * (place.y - up.middle) / span
      canvas.dot(x: x, y: y, radius: radius, label >= 0 ? .ofClass(Int(label), among: classes) : .pencil)
    }
    for (row, entry) in named.enumerated() {
      let y = top + row * PictureSheet.line
      canvas.dot(x: Double(left + side + gap + 8), y: Double(y + 7), radius: 6, entry.colour)
      canvas.write(entry.name, x: left + side + gap + 24, y: y)
    }
    return canvas.pixels
  }

  private func name(_ label: Int32) -> String {
    classNames.indices.contains(Int(label)) ? classNames[Int(label)] : "class \(label)"
  }

  private func caption(_ direction: Int) -> String {
    "direction \(direction + 1): \(percent(shares[direction])) of the variance"
  }

  private func middle(_ values: [Double]) -> (middle: Double, span: Double) {
    let (low, high) = (values.min() ?? 0, values.max() ?? 0)
    return ((low + high) / 2, high - low)
  }
}
