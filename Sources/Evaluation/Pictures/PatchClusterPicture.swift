import Basics
import Images
import Settings
import Tensors

// Shapes: n images, L patches, g patches along a side, D width.

/// The patches of every image in a few clusters of their own.
///
/// - Source: spec/evaluation.md E15, as MMC draws it.
struct PatchClusterPicture {
  private let clusters: Int
  private let runs: Int

  init(_ section: Section) throws(Failure) {
    clusters = try section.int("k", default: 3, in: 2...20, "clusters of the patches of an image")
    runs = try section.int("runs", default: 10, in: 1..., "runs of k-means; the lowest inertia counts")
  }

  /// - Shapes: patches [n, L, D].
  /// - Throws: bad config when an image has fewer patches than there are clusters.
  func drawn(_ images: ShownImages, patches: Tensor, seed: UInt64) throws(Failure) -> Drawing {
    let (tokens, width) = (patches.shape[1], patches.shape[2])
    guard clusters <= tokens else {
      throw Failure(.badConfig, "k=\(clusters) clusters of \(tokens) patches", at: "k", hint: "k may be 2 to \(tokens)")
    }
    let grid = Int(Double(tokens).squareRoot())
    let patch = images.side / grid
    var rows: [PictureSheet.Row] = []
    var numbers: [JSON] = []
    for image in 0..<images.count {
      let points = KMeansPoints(patches.rows(image..<image + 1).reshaped([tokens, width]))
      let found = try KMeans.fit(points, KMeans.Options(clusters: clusters, restarts: runs, seed: seed)).clusters
      let numbered = PatchClusterPicture.bySize(found, count: clusters)
      let colours = numbered.map { $0 == 0 ? Colour.ground : .ofClass($0 - 1, among: clusters - 1) }
      let borders = images.pixels[image].tinted(colours, grid: grid, patch: patch)
      rows.append(
        .init(
          [.init(images.pixels[image]), .init(Pixels(painting: colours, columns: grid, cell: patch)), .init(borders)],
          label: images.label(image)))
      numbers.append(
        .object([("image", .int(images.indices[image])), ("clusters", .array(numbered.map { .int($0) }))]))
    }
    let sheet = PictureSheet(
      title: "Patches in \(clusters) clusters",
      remarks: ["k-means on the patches of each image alone; the largest cluster is grey."],
      captions: ["input", "clusters", "over the input"], rows: rows)
    return Drawing([("patchkmeans", sheet.rendered())], numbers: [("k", .int(clusters)), ("images", .array(numbers))])
  }

  /// Clusters renumbered, the largest first; of equal ones that of the first patch.
  static func bySize(_ clusters: [Int32], count: Int) -> [Int] {
    let members = (0..<count).map { number in clusters.indices.filter { clusters[$0] == Int32(number) } }
    let order = (0..<count).sorted { a, b in
      if members[a].count != members[b].count { return members[a].count > members[b].count }
      return (members[a].first ?? .max) < (members[b].first ?? .max)
    }
    var place = [Int](repeating: 0, count: count)
    for (number, cluster) in order.enumerated() { place[cluster] = number }
    return clusters.map { place[Int($0)] }
  }
}

extension Pixels {
  /// The picture half covered by the colours of its patches.
  ///
  /// - Shapes: colours [g, g].
  func tinted(_ colours: [Colour], grid: Int, patch: Int) -> Pixels {
    var result = self
    for y in 0..<height {
      for x in 0..<width {
        let place = 3 * (y * width + x)
        let colour = colours[y / patch * grid + x / patch]
        let mixed = Colour(bytes[place], bytes[place + 1], bytes[place + 2]).mixed(0.5, with: colour)
        (result.bytes[place], result.bytes[place + 1], result.bytes[place + 2]) = (mixed.red, mixed.green, mixed.blue)
      }
    }
    return result
  }
}
