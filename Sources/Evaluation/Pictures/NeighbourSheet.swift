import Basics
import Features
import Images
import Messaging
import Settings
import Tensors

/// Images with the images that lie nearest to them, themselves left out.
///
/// - Source: spec/evaluation.md E16.
struct NeighbourSheet {
  private let neighbours: Int

  init(_ section: Section) throws(Failure) {
    neighbours = try section.int("neighbours", default: 8, in: 1...50, "nearest images of each image")
  }

  init(neighbours: Int) { self.neighbours = neighbours }

  /// The nearest images of some images of a set, by the cosine of their features.
  ///
  /// - Parameter queries: numbers of images in the set, ascending.
  /// - Returns: a list a query, the same on every rank.
  /// - Throws: non-finite when a feature is not a number; bad config when there are too few images.
  /// - Collective: all ranks.
  func lists(of queries: [Int], in set: FeatureSet, communicator: Communicator) throws(Failure) -> [[Neighbour]] {
    guard set.count > neighbours else {
      throw Failure(
        .badConfig, "\(neighbours) neighbours of \(set.count) images", at: set.place,
        hint: "neighbours=\(max(set.count - 1, 0))")
    }
    try set.requireNumbers(communicator)
    let unit = set.normalised()
    let first = queries.count { $0 < set.range.lowerBound }
    let held = queries.filter(set.range.contains)
    let rows = Tensor(uninitialized: [held.count, set.width])
    for (row, image) in held.enumerated() {
      let place = image - set.range.lowerBound
      rows.rows(row..<row + 1).assign(unit.rows.rows(place..<place + 1))
    }
    let asked = FeatureSet(
      rows: rows, range: first..<first + held.count, labels: queries.map { set.labels[$0] },
      indices: queries.map { set.indices[$0] })
    let own = try ShardedSearch(bank: unit, communicator: communicator)
      .nearest(asked, k: neighbours, selfExclude: true)
    // Every list has one owner: sums with zeros are exact.
    var found = [Double](repeating: 0, count: queries.count * neighbours * 2)
    for (place, entry) in own.joined().enumerated() {
      let target = (first * neighbours + place) * 2
      (found[target], found[target + 1]) = (Double(entry.similarity), Double(entry.index))
    }
    found = try communicator.allReduceSum(found)
    return queries.indices.map { query in
      (0..<neighbours).map { place in
        let source = (query * neighbours + place) * 2
        let index = Int(found[source + 1])
        return Neighbour(similarity: Float(found[source]), index: index, label: set.labels[index])
      }
    }
  }

  /// The sheet: the queries in the first column.
  ///
  /// - Parameter neighbours: the images of all lists, one list after the other.
  func drawn(_ queries: ShownImages, _ lists: [[Neighbour]], _ neighbours: ShownImages) -> Drawing {
    let isLabelled = queries.labels.allSatisfy { $0 >= 0 }
    var (numbers, matching, place): ([JSON], Int, Int) = ([], 0, 0)
    let rows = lists.enumerated().map { query, list in
      var cells = [PictureSheet.Cell(queries.pixels[query], note: queries.className(queries.labels[query]))]
      var entries: [JSON] = []
      for entry in list {
        let isRight = entry.label == queries.labels[query]
        if isRight { matching += 1 }
        cells.append(
          .init(
            neighbours.pixels[place],
            note: "\(neighbours.className(entry.label)) \(twoDigits(Double(entry.similarity)))",
            frame: isLabelled ? (isRight ? .right : .wrong) : nil))
        entries.append(
          .object([
            ("image", .int(neighbours.indices[place])), ("cosine", .double(Double(entry.similarity))),
            ("label", .int(Int(entry.label))),
          ]))
        place += 1
      }
      numbers.append(
        .object([
          ("image", .int(queries.indices[query])), ("label", .int(Int(queries.labels[query]))),
          ("neighbours", .array(entries)),
        ]))
      return PictureSheet.Row(cells, label: "image \(queries.indices[query])")
    }
    let total = lists.joined().count
    var sheet = PictureSheet(
      title: "Nearest images by the cosine of their features",
      remarks: isLabelled ? ["Green: of the same class, \(matching) of \(total)."] : [],
      captions: ["image"] + (1...self.neighbours).map { "\($0)" }, rows: rows)
    sheet.side = 120
    return Drawing(
      [("neighbours", sheet.rendered())], numbers: [("lists", .array(numbers))],
      summary: isLabelled ? ["neighbours of the same class: \(matching) of \(total)"] : [])
  }
}
