import Basics
import Features
import Images
import Settings

/// k-means clusters of whole images against their classes: the images nearest to each centre, or the table of both.
///
/// - Source: spec/evaluation.md E16, on the clusters of E7.
struct ClusterPictures {
  private let clusters: Int?
  private let algorithm: KMeans.Algorithm
  private let runs: Int
  private let rows: Int?

  /// - Parameter hasSheet: whether images are shown, of so many clusters.
  init(_ section: Section, hasSheet: Bool) throws(Failure) {
    clusters = try section.optionalInt("k", in: 1..., absent: "classes", "clusters; as many as there are classes")
    let standard = KMeans.Algorithm.lloyd
    let word = try section.choice(
      "algorithm", default: standard.rawValue, KMeans.Algorithm.allCases.map(\.rawValue),
      "random batches, or all points in every round")
    algorithm = KMeans.Algorithm(rawValue: word) ?? standard
    runs = try section.int("runs", default: 10, in: 1..., "runs of k-means; the lowest inertia counts")
    rows = hasSheet ? try section.int("rows", default: 20, in: 1...200, "clusters on the sheet") : nil
  }

  private func clustering(_ set: FeatureSet, _ gallery: Gallery) throws(Failure) -> Clustering {
    let options = KMeans.Options(
      clusters: clusters ?? set.classes, restarts: runs, algorithm: algorithm, seed: gallery.seed)
    return try Clustering(set, options, communicator: gallery.communicator)
  }

  /// The table of classes and clusters.
  ///
  /// - Collective: all ranks.
  func confusion(from gallery: Gallery) throws(Failure) -> Drawing {
    let set = try gallery.features()
    let confusion = try clustering(set, gallery).confusion
    let picture = ConfusionPicture(confusion: confusion, classNames: set.classNames)
    return Drawing(
      [("confusion", picture.drawn())],
      numbers: [
        ("accuracy", .double(picture.accuracy)), ("matches", .int(confusion.trace)), ("images", .int(set.count)),
        ("classes", .array(set.classNames.map { .string($0) })),
        ("clusters", .array(confusion.clusters.map { $0.map { .int($0) } ?? .null })),
        ("counts", .array(confusion.counts.map { .array($0.map { .int($0) }) })),
      ], summary: ["images whose cluster stands for their class: \(percent(picture.accuracy))"])
  }

  /// A row a cluster: the images nearest to its centre, in the order of the classes that clusters stand for.
  ///
  /// - Collective: all ranks.
  func sheet(from gallery: Gallery, images count: Int) throws(Failure) -> Drawing {
    let set = try gallery.features()
    let clustering = try clustering(set, gallery)
    let confusion = clustering.confusion
    let lists = clustering.sheets(of: set, count: count)
    let columns = confusion.clusters.enumerated().compactMap { column, cluster in
      cluster.map { (column: column, cluster: $0) }
    }
    let shown = columns.prefix(rows ?? columns.count)
    let images = try gallery.shown(shown.flatMap { lists[$0.cluster].map { Int($0.image) } })
    var (place, numbers): (Int, [JSON]) = (0, [])
    let rows = shown.map { column, cluster in
      let size = clustering.contingency.clusterSizes[cluster]
      let isMatched = column < confusion.counts.count
      let own = isMatched ? confusion.counts[column][column] : 0
      let cells = lists[cluster].map { _ in
        let label = images.labels[place]
        let isRight = isMatched && Int(label) == column
        defer { place += 1 }
        return PictureSheet.Cell(
          images.pixels[place], note: images.className(label), frame: isRight ? .right : .wrong)
      }
      numbers.append(
        .object([
          ("cluster", .int(cluster)), ("class", isMatched ? .int(column) : .null), ("size", .int(size)),
          ("of_its_class", .int(own)), ("images", .array(lists[cluster].map { .int(Int($0.image)) })),
          ("distances", .array(lists[cluster].map { .double($0.distance) })),
        ]))
      let name = isMatched ? images.className(Int32(column)) : "no class"
      let share = isMatched && size > 0 ? ", \(percent(Double(own) / Double(size))) right" : ""
      return PictureSheet.Row(cells, label: "\(name): \(size) images\(share)")
    }
    var sheet = PictureSheet(
      title: "Images nearest to the centre of each cluster",
      remarks: [
        "A row is named after the class that its cluster stands for; green images are of that class."
          + (shown.count < columns.count ? " Shown are \(shown.count) of \(columns.count) clusters." : "")
      ],
      rows: rows)
    sheet.side = 120
    return Drawing([("clusters", sheet.rendered())], numbers: [("clusters", .array(numbers))])
  }
}
